// A conversation as token ids and labels.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/data/chat/chat_sample.h"
#include "runtime/data/chat/chat_tokens.h"
#include "runtime/data/chat/render_chat.h"
#include "runtime/data/text/tokenizer.h"

namespace longsight::data {

inline constexpr i64 kIgnored = -100;  // a label without loss, as in Hugging Face models

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

// Immutable; any number of threads, each with an EncodeCache of its own. Refers to the tokenizer.
class SampleTokenizer {
 public:
  // Without a chat template only plain texts can be tokenised; `no_chat` is what is said of a conversation
  // then. bad_data if the tokenizer lacks a placeholder or a token that the template needs, or the template
  // cannot be run. `folder`: of the tokenizer's files, as for chat_tokens.
  SampleTokenizer(const Tokenizer& tokenizer, const std::filesystem::path& folder,
                  std::optional<ChatSource> chat, Placeholders placeholders,
                  const std::vector<i64>& ends = {}, std::string no_chat = {});

  // The whole chat is encoded in one piece (prefix and suffix of PaliGemma in two). What stands for a picture
  // becomes its placeholders; the word <image> of a text is text, as if the tokenizer had no such token.
  // Tokens that the tokenizer puts around a text are added, unless the template already begins with them. A
  // token is supervised if its characters overlap what is learned (render_chat.h). media_texts says for each
  // image or video of the sample what stands for it (media_text.h); bad_data, with sample.where, if it does
  // not fit.
  TokenizedSample tokenize(const ChatSample& sample, std::span<const std::string> media_texts,
                           EncodeCache& cache) const;
  // The same up to the last answer, for generation: ChatRenderer::prompt. No label.
  TokenizedSample tokenize_prompt(const ChatSample& sample, std::span<const std::string> media_texts,
                                  EncodeCache& cache) const;

  const ChatRenderer* renderer() const {
    return renderer_ ? &*renderer_ : nullptr;
  }  // null without a template

 private:
  const ChatRenderer& renderer_for(const ChatSample&) const;
  TokenizedSample encode(const RenderedChat& chat, const ChatSample& sample,
                         std::span<const std::string> media_texts, EncodeCache& cache) const;
  Encoding encode_text(const RenderedChat& chat, i64& prefix, EncodeCache& cache) const;
  void check_media(const ChatSample& sample, std::span<const std::string> media_texts) const;
  void find_media(TokenizedSample& out, const Encoding&, const RenderedChat&, const ChatSample& sample,
                  std::span<const std::string> media_texts) const;

  const Tokenizer& tokenizer_;
  Placeholders placeholders_;
  std::vector<i64> placeholder_ids_;  // those that there are
  ChatTokens tokens_;
  std::optional<ChatRenderer> renderer_;
  std::string no_chat_, folder_;
  std::string first_token_;  // that the tokenizer puts in front of a text; empty: none
};

}  // namespace longsight::data
