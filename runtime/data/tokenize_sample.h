// A conversation as token ids and labels.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/data/chat.h"
#include "runtime/data/chat_sample.h"
#include "runtime/data/tokenizer.h"

namespace longsight::data {

inline constexpr i64 kIgnored = -100;  // a label without loss, as in Hugging Face models

// Ids that the model's config names; features of images and videos take their places. Models of text have
// none.
struct Placeholders {
  std::optional<i64> image = {};
  std::optional<i64> video = {};
};

struct TokenizedSample {
  std::vector<i64> ids;
  std::vector<i64> labels;  // as long as ids, not shifted; kIgnored where there is no loss
  // Of each image or video, in order of appearance: where its placeholders stand, ascending.
  std::vector<std::vector<i64>> media_positions;
  // The first tokens, which all tokens of the sample see in attention (PaliGemma); 0: attention is causal.
  i64 prefix = 0;
};

// What PaliGemma calls token_type_ids: 0 in the prefix, 1 behind it.
std::vector<i64> token_type_ids(const TokenizedSample&);

// Immutable; any number of threads, each with an EncodeCache of its own. Refers to the tokenizer and the
// format.
class SampleTokenizer {
 public:
  // bad_data if the tokenizer lacks a placeholder or a token that the format needs.
  SampleTokenizer(const Tokenizer& tokenizer, const ChatFormat& format, Placeholders placeholders);

  // The whole chat is encoded in one piece (prefix and suffix of PaliGemma in two). Tokens that the tokenizer
  // puts around a text are added, unless the format already begins with them. A token is supervised if its
  // characters overlap an answer or the end-of-turn token directly behind it. media_texts says for each image
  // or video of the sample what stands for it (media_text.h); bad_data, with sample.where, if it does not fit
  // or if a text of the sample itself holds a placeholder.
  TokenizedSample tokenize(const ChatSample& sample, std::span<const std::string> media_texts,
                           EncodeCache& cache) const;
  // The same up to the last answer, for generation: render_prompt. No label.
  TokenizedSample tokenize_prompt(const ChatSample& sample, std::span<const std::string> media_texts,
                                  EncodeCache& cache) const;

 private:
  TokenizedSample encode(const RenderedChat& chat, const ChatSample& sample,
                         std::span<const std::string> media_texts, EncodeCache& cache) const;
  Encoding encode_text(const RenderedChat& chat, i64& prefix, EncodeCache& cache) const;
  void find_media(TokenizedSample& out, const ChatSample& sample, std::span<const std::string> media_texts,
                  bool videos) const;

  const Tokenizer& tokenizer_;
  const ChatFormat& format_;
  Placeholders placeholders_;
  bool adds_tokens_ = true;  // of the tokenizer's own, around a text
};

}  // namespace longsight::data
