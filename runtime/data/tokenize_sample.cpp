#include "runtime/data/tokenize_sample.h"

#include "runtime/base/error.h"

namespace longsight::data {

SampleTokenizer::SampleTokenizer(const BpeTokenizer& tokenizer, const ChatFormat& format, i64 image_token)
    : tokenizer_(tokenizer), format_(format), image_token_(image_token) {
  require(image_token >= 0 && image_token < tokenizer.vocab_size() && !tokenizer.token(image_token).empty(),
          ExitCode::bad_data,
          "the tokenizer has no token with the model's image token id {} (its ids end at {})", image_token,
          tokenizer.vocab_size() - 1);
  for (const std::string* token : {&format.end_of_turn, &format.image_open, &format.image_close}) {
    require(token->empty() || tokenizer.id_of(*token).has_value(), ExitCode::bad_data,
            "the chat format {} needs the token {}, which the tokenizer does not have; choose another with "
            "data.chat: FORMAT",
            format.name, *token);
  }
}

TokenizedSample SampleTokenizer::encode(const RenderedChat& chat, std::span<const i64> tokens_per_image,
                                        const std::string& where, EncodeCache& cache) const {
  const Encoding encoding = tokenizer_.encode(chat.text, cache);
  TokenizedSample out;
  out.ids = encoding.ids;
  out.labels.assign(out.ids.size(), kIgnored);
  auto span = chat.supervised.begin();
  for (std::size_t t = 0; t < out.ids.size(); ++t) {
    const ByteSpan token = encoding.spans[t];
    while (span != chat.supervised.end() && span->end <= token.begin) ++span;
    if (span == chat.supervised.end()) break;
    if (token.begin < token.end && token.end > span->begin && out.ids[t] != image_token_)
      out.labels[t] = out.ids[t];
  }

  i64 seen = 0, due = 0;  // image tokens so far, and those of the images that have begun
  for (std::size_t t = 0; t < out.ids.size(); ++t) {
    if (out.ids[t] != image_token_) continue;
    if (seen++ == due && out.image_positions.size() < tokens_per_image.size()) {
      due += tokens_per_image[out.image_positions.size()];
      out.image_positions.push_back(static_cast<i64>(t));
    }
  }
  i64 wanted = 0;
  for (const i64 count : tokens_per_image) wanted += count;
  require(seen == wanted, ExitCode::bad_data,
          "{}: {} image tokens in the text, but {} for its {} images (does a text hold {}?)", where, seen,
          wanted, tokens_per_image.size(), tokenizer_.token(image_token_));
  return out;
}

TokenizedSample SampleTokenizer::tokenize(const ChatSample& sample, std::span<const i64> tokens_per_image,
                                          EncodeCache& cache) const {
  const RenderedChat chat = render_chat(format_, sample, tokenizer_.token(image_token_), tokens_per_image);
  return encode(chat, tokens_per_image, sample.where, cache);
}

TokenizedSample SampleTokenizer::tokenize_prompt(const ChatSample& sample,
                                                 std::span<const i64> tokens_per_image,
                                                 EncodeCache& cache) const {
  const RenderedChat chat = render_prompt(format_, sample, tokenizer_.token(image_token_), tokens_per_image);
  return encode(chat, tokens_per_image.first(chat.images), sample.where, cache);
}

}  // namespace longsight::data
