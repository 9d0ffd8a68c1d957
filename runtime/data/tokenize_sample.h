// A conversation as token ids and labels.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/data/bpe_tokenizer.h"
#include "runtime/data/chat.h"
#include "runtime/data/chat_sample.h"

namespace longsight::data {

inline constexpr i64 kIgnored = -100;  // a label without loss, as in Hugging Face models

struct TokenizedSample {
  std::vector<i64> ids;
  std::vector<i64> labels;           // as long as ids, not shifted; kIgnored where there is no loss
  std::vector<i64> image_positions;  // of each image: where its first token stands
};

// Immutable; any number of threads, each with an EncodeCache of its own. Refers to the tokenizer and the
// format.
class SampleTokenizer {
 public:
  // `image_token` is the id that the model's config names. bad_data if the tokenizer does not have it, or
  // lacks the format's end-of-turn token.
  SampleTokenizer(const BpeTokenizer& tokenizer, const ChatFormat& format, i64 image_token);

  // The whole chat is encoded in one piece. A token is supervised if its characters overlap an answer or the
  // end-of-turn token directly behind it. tokens_per_image has a number for each image of the sample;
  // bad_data, with sample.where, if it has not or if a text of the sample itself holds the image token.
  TokenizedSample tokenize(const ChatSample& sample, std::span<const i64> tokens_per_image,
                           EncodeCache& cache) const;
  // The same up to the last answer, for generation: render_prompt. No label.
  TokenizedSample tokenize_prompt(const ChatSample& sample, std::span<const i64> tokens_per_image,
                                  EncodeCache& cache) const;

 private:
  TokenizedSample encode(const RenderedChat& chat, std::span<const i64> tokens_per_image,
                         const std::string& where, EncodeCache& cache) const;

  const BpeTokenizer& tokenizer_;
  const ChatFormat& format_;
  i64 image_token_;
};

}  // namespace longsight::data
