#include "runtime/data/chat/tokenize_sample.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace longsight::data {
namespace {

i64 times_in(std::string_view text, std::string_view part) {
  i64 times = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size()))
    ++times;
  return times;
}

std::string first_token_of(const Tokenizer& tokenizer) {
  EncodeCache cache;
  const Encoding encoding = tokenizer.encode("a", cache);
  const bool added = !encoding.ids.empty() && encoding.spans[0].begin == encoding.spans[0].end &&
                     tokenizer.is_special(encoding.ids[0]);
  return added ? tokenizer.token(encoding.ids[0]) : std::string();
}

}  // namespace

std::vector<i64> token_type_ids(const TokenizedSample& sample) {
  std::vector<i64> types(sample.ids.size(), 1);
  std::fill_n(types.begin(), sample.prefix, 0);
  return types;
}

SampleTokenizer::SampleTokenizer(const Tokenizer& tokenizer, const std::filesystem::path& folder,
                                 std::optional<ChatSource> chat, Placeholders placeholders,
                                 const std::vector<i64>& ends, std::string no_chat)
    : tokenizer_(tokenizer),
      placeholders_(placeholders),
      tokens_(chat_tokens(tokenizer, folder, placeholders, ends)),
      no_chat_(std::move(no_chat)),
      folder_((folder / "").string()),
      first_token_(first_token_of(tokenizer)) {
  for (const std::optional<i64>& id : {placeholders.image, placeholders.video}) {
    if (id) placeholder_ids_.push_back(*id);
  }
  if (chat) renderer_.emplace(std::move(*chat), tokens_);
}

const ChatRenderer& SampleTokenizer::renderer_for(const ChatSample& sample) const {
  require(renderer_.has_value(), ExitCode::bad_data, "{}: a conversation, but {}; {}", sample.where,
          no_chat_.empty() ? "there is no chat template" : no_chat_, ChatRemedy{folder_});
  return *renderer_;
}

// Placeholders are recognised in what stands for pictures; in all other text they are words.
Encoding SampleTokenizer::encode_text(const RenderedChat& chat, i64& prefix, EncodeCache& cache) const {
  std::vector<ByteSpan> places = chat.media;
  std::sort(places.begin(), places.end(),
            [](const ByteSpan& a, const ByteSpan& b) { return a.begin < b.begin; });
  const PlacedTokens in_pictures{.ids = placeholder_ids_, .places = places};
  if (!chat.suffix) {
    const bool begun = !first_token_.empty() && chat.text.starts_with(first_token_);
    return tokenizer_.encode(chat.text, cache, !begun, in_pictures);
  }
  const std::string_view text = chat.text;
  Encoding all =
      tokenizer_.encode(text.substr(0, static_cast<std::size_t>(*chat.suffix)), cache, false, in_pictures);
  prefix = static_cast<i64>(all.ids.size());
  const Encoding suffix = tokenizer_.encode(text.substr(static_cast<std::size_t>(*chat.suffix)), cache, false,
                                            {.ids = placeholder_ids_, .places = {}});
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
  find_media(out, encoding, chat, sample, media_texts);
  return out;
}

void SampleTokenizer::check_media(const ChatSample& sample, std::span<const std::string> media_texts) const {
  check(media_texts.size() == sample.media.size(), "{} media texts for {} images and videos",
        media_texts.size(), sample.media.size());
  for (const ChatMedia& media : sample.media) {
    const char* const what = media.video ? "video" : "image";
    require((media.video ? placeholders_.video : placeholders_.image).has_value(), ExitCode::bad_data,
            "{}: the model has no {} token, so it takes no {}s", sample.where, what, what);
  }
}

// A placeholder belongs to the picture whose text it stands in.
void SampleTokenizer::find_media(TokenizedSample& out, const Encoding& encoding, const RenderedChat& chat,
                                 const ChatSample& sample, std::span<const std::string> media_texts) const {
  out.media_positions.resize(chat.media.size());
  std::vector<std::size_t> order(chat.media.size());  // by place in the text
  for (std::size_t k = 0; k < order.size(); ++k) order[k] = k;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return chat.media[a].begin < chat.media[b].begin; });
  auto at = order.begin();
  for (std::size_t t = 0; t < out.ids.size(); ++t) {
    const bool image = out.ids[t] == placeholders_.image, video = out.ids[t] == placeholders_.video;
    if (!image && !video) continue;
    const ByteSpan token = encoding.spans[t];
    // It may take the space in front of it.
    while (at != order.end() && chat.media[*at].end < token.end) ++at;
    require(at != order.end() && chat.media[*at].begin < token.end && sample.media[*at].video == video,
            ExitCode::bad_data, "{}: a text holds {}, where no {} stands", sample.where,
            tokenizer_.token(out.ids[t]), video ? "video" : "image");
    out.media_positions[*at].push_back(static_cast<i64>(t));
  }
  for (std::size_t k = 0; k < chat.media.size(); ++k) {
    const i64 wanted = times_in(media_texts[k], sample.media[k].video ? tokens_.video : tokens_.image);
    check(static_cast<i64>(out.media_positions[k].size()) == wanted, "{}: {} tokens of {} for picture {}",
          sample.where, out.media_positions[k].size(), wanted, k + 1);
  }
}

TokenizedSample SampleTokenizer::tokenize(const ChatSample& sample, std::span<const std::string> media_texts,
                                          EncodeCache& cache) const {
  check_media(sample, media_texts);
  return encode(
      sample.plain ? render_plain(sample, tokens_) : renderer_for(sample).render(sample, media_texts), sample,
      media_texts, cache);
}

TokenizedSample SampleTokenizer::tokenize_prompt(const ChatSample& sample,
                                                 std::span<const std::string> media_texts,
                                                 EncodeCache& cache) const {
  check_media(sample, media_texts);
  const RenderedChat chat = sample.plain ? RenderedChat() : renderer_for(sample).prompt(sample, media_texts);
  return encode(chat, sample, media_texts.first(chat.media.size()), cache);
}

}  // namespace longsight::data
