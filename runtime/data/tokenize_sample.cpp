#include "runtime/data/tokenize_sample.h"

#include "runtime/base/error.h"

namespace longsight::data {
namespace {

i64 times_in(std::string_view text, std::string_view part) {
  i64 times = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size()))
    ++times;
  return times;
}

// Whether the beginning of each chat in this format already is what the tokenizer puts in front of a text.
bool begins_with_own_tokens(const Tokenizer& tokenizer, const ChatFormat& format) {
  EncodeCache cache;
  const Encoding head = tokenizer.encode(format.begin + format.user.before, cache);
  return head.ids.size() >= 2 && head.spans[0].begin == head.spans[0].end && head.ids[0] == head.ids[1];
}

}  // namespace

std::vector<i64> token_type_ids(const TokenizedSample& sample) {
  std::vector<i64> types(sample.ids.size(), 1);
  std::fill_n(types.begin(), sample.prefix, 0);
  return types;
}

SampleTokenizer::SampleTokenizer(const Tokenizer& tokenizer, const ChatFormat& format,
                                 Placeholders placeholders)
    : tokenizer_(tokenizer), format_(format), placeholders_(placeholders) {
  for (const auto& [id, what] : {std::pair(placeholders.image, "image"), {placeholders.video, "video"}}) {
    require(!id || (*id >= 0 && *id < tokenizer.vocab_size() && !tokenizer.token(*id).empty()),
            ExitCode::bad_data,
            "the tokenizer has no token with the model's {} token id {} (its ids end at {})", what,
            id.value_or(0), tokenizer.vocab_size() - 1);
  }
  for (const std::string& token : format.tokens) {
    require(tokenizer.id_of(token).has_value(), ExitCode::bad_data,
            "the chat format {} needs the token {}, which the tokenizer does not have; choose another with "
            "data.chat: FORMAT",
            format.name, token);
  }
  adds_tokens_ = !begins_with_own_tokens(tokenizer, format);
}

Encoding SampleTokenizer::encode_text(const RenderedChat& chat, i64& prefix, EncodeCache& cache) const {
  if (!chat.suffix) return tokenizer_.encode(chat.text, cache, adds_tokens_);
  const std::string_view text = chat.text;
  Encoding all = tokenizer_.encode(text.substr(0, static_cast<std::size_t>(*chat.suffix)), cache, false);
  prefix = static_cast<i64>(all.ids.size());
  const Encoding suffix =
      tokenizer_.encode(text.substr(static_cast<std::size_t>(*chat.suffix)), cache, false);
  all.ids.insert(all.ids.end(), suffix.ids.begin(), suffix.ids.end());
  for (const ByteSpan& span : suffix.spans)
    all.spans.push_back({span.begin + *chat.suffix, span.end + *chat.suffix});
  return all;
}

TokenizedSample SampleTokenizer::encode(const RenderedChat& chat, const ChatSample& sample,
                                        std::span<const std::string> media_texts, EncodeCache& cache) const {
  TokenizedSample out;
  const Encoding encoding = encode_text(chat, out.prefix, cache);
  out.ids = encoding.ids;
  out.labels.assign(out.ids.size(), kIgnored);
  auto span = chat.supervised.begin();
  for (std::size_t t = 0; t < out.ids.size(); ++t) {
    const ByteSpan token = encoding.spans[t];
    while (span != chat.supervised.end() && span->end <= token.begin) ++span;
    if (span == chat.supervised.end()) break;
    const bool placeholder = out.ids[t] == placeholders_.image || out.ids[t] == placeholders_.video;
    if (token.begin < token.end && token.end > span->begin && !placeholder) out.labels[t] = out.ids[t];
  }
  out.media_positions.resize(media_texts.size());
  for (const bool videos : {false, true}) find_media(out, sample, media_texts, videos);
  return out;
}

void SampleTokenizer::find_media(TokenizedSample& out, const ChatSample& sample,
                                 std::span<const std::string> media_texts, bool videos) const {
  const auto placeholder = videos ? placeholders_.video : placeholders_.image;
  const char* const what = videos ? "video" : "image";
  std::vector<i64> positions;
  if (placeholder) {
    for (std::size_t t = 0; t < out.ids.size(); ++t) {
      if (out.ids[t] == *placeholder) positions.push_back(static_cast<i64>(t));
    }
  }
  i64 wanted = 0;
  std::size_t media = 0, taken = 0;
  for (std::size_t k = 0; k < media_texts.size(); ++k) {
    if (sample.media[k].video != videos) continue;
    require(placeholder.has_value(), ExitCode::bad_data, "{}: the model has no {} token, so it takes no {}s",
            sample.where, what, what);
    ++media;
    const i64 count = times_in(media_texts[k], tokenizer_.token(*placeholder));
    wanted += count;
    for (; taken < positions.size() && static_cast<i64>(taken) < wanted; ++taken)
      out.media_positions[k].push_back(positions[taken]);
  }
  require(static_cast<i64>(positions.size()) == wanted, ExitCode::bad_data,
          "{}: {} {} tokens in the text, but {} for its {} {}s (does a text hold {}?)", sample.where,
          positions.size(), what, wanted, media, what, placeholder ? tokenizer_.token(*placeholder) : "it");
}

TokenizedSample SampleTokenizer::tokenize(const ChatSample& sample, std::span<const std::string> media_texts,
                                          EncodeCache& cache) const {
  check(media_texts.size() == sample.media.size(), "{} media texts for {} images and videos",
        media_texts.size(), sample.media.size());
  return encode(render_chat(format_, sample, media_texts), sample, media_texts, cache);
}

TokenizedSample SampleTokenizer::tokenize_prompt(const ChatSample& sample,
                                                 std::span<const std::string> media_texts,
                                                 EncodeCache& cache) const {
  check(media_texts.size() == sample.media.size(), "{} media texts for {} images and videos",
        media_texts.size(), sample.media.size());
  const RenderedChat chat = render_prompt(format_, sample, media_texts);
  return encode(chat, sample, media_texts.first(chat.media), cache);
}

}  // namespace longsight::data
