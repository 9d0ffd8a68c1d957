#include "launch/samples/token_text.h"

#include <algorithm>

namespace longsight::launch {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD: a part of a character
constexpr std::string_view kWordStart = "\xE2\x96\x81";    // U+2581, a space in pieces of SentencePiece
constexpr std::size_t kMostParts = 8;                      // tokens that make up a character
constexpr i64 kFewest = 4;                                 // repetitions that are written as a number

std::string with_marks(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    if (c == '\n') shown += "\xE2\x8F\x8E";  // U+23CE
    shown += c;
  }
  return shown;
}

bool is_known(const SampleMaker& maker, i64 id) {
  return id >= 0 && id < maker.tokenizer().vocab_size() && !maker.tokenizer().token(id).empty();
}

// Empty for a token that is a part of a character.
std::string shown_token(const SampleMaker& maker, i64 id) {
  if (!is_known(maker, id)) return fmt::format("<{}>", id);
  const auto& tokenizer = maker.tokenizer();
  const std::string& written = tokenizer.token(id);
  if (tokenizer.is_special(id)) return written;
  const std::vector<i64> one{id};
  std::string text = tokenizer.decode(one, false);
  if (text.find(kReplacement) != std::string::npos) return {};
  // Decoding a text leaves out the space in front of its first word.
  if (std::string_view(written).starts_with(kWordStart) && !text.starts_with(' ')) text.insert(0, " ");
  return text.empty() ? written : with_marks(text);
}

struct Shown {
  std::string text;
  std::size_t tokens = 1;
};

// The characters that the first tokens of `ids` make together, as few of them as are needed.
Shown shown_parts(const SampleMaker& maker, std::span<const i64> ids) {
  for (std::size_t parts = 2; parts <= std::min(ids.size(), kMostParts); ++parts) {
    if (!is_known(maker, ids[parts - 1])) break;
    const std::string text = maker.tokenizer().decode(ids.first(parts), false);
    if (text.find(kReplacement) == std::string::npos)
      return {fmt::format("{}({} tokens)", with_marks(text), parts), parts};
  }
  return {maker.tokenizer().token(ids.front()), 1};
}

}  // namespace

std::string token_text(const SampleMaker& maker, const model::Sample& sample) {
  std::string text;
  bool learned = false;
  for (std::size_t t = 0; t < sample.ids.size();) {
    const auto has_loss = [&](std::size_t at) { return sample.labels[at] != data::kIgnored; };
    std::size_t end = t + 1;  // of the tokens with or without loss, as the first one is
    while (end < sample.ids.size() && has_loss(end) == has_loss(t)) ++end;
    const std::span<const i64> run(sample.ids.data() + t, end - t);
    if (has_loss(t) != learned) {
      text += has_loss(t) ? "[" : "]";
    } else if (t > 0) {
      text += "|";
    }
    learned = has_loss(t);

    const i64 times =
        std::find_if(run.begin(), run.end(), [&](i64 id) { return id != run.front(); }) - run.begin();
    Shown shown{.text = shown_token(maker, run.front())};
    if (shown.text.empty()) {
      shown = shown_parts(maker, run);
    } else if (times >= kFewest) {
      shown = {fmt::format("{} x{}", shown.text, times), static_cast<std::size_t>(times)};
    }
    text += shown.text;
    t += shown.tokens;
  }
  return learned ? text + "]" : text;
}

std::string facts_text(const SampleMaker& maker, const data::ChatSample& chat, const model::Sample& sample) {
  const auto videos =
      std::count_if(chat.media.begin(), chat.media.end(), [](const auto& m) { return m.video; });
  const auto images = static_cast<std::ptrdiff_t>(chat.media.size()) - videos;
  std::string text = chat.id.empty() ? std::string() : chat.id + ", ";
  text += fmt::format("{} tokens: {} of pictures, {} with loss", sample.tokens(), maker.visual_tokens(sample),
                      supervised_tokens(sample));
  if (images > 0) text += fmt::format("; {} image{}", images, images == 1 ? "" : "s");
  if (videos > 0) text += fmt::format("; {} video{}", videos, videos == 1 ? "" : "s");
  return text;
}

}  // namespace longsight::launch
