// A conversation becomes one text for the tokenizer, by the chat template, with what stands for each picture,
// and with the bytes that carry loss.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/data/chat/chat_sample.h"
#include "runtime/data/chat/chat_source.h"
#include "runtime/data/chat/chat_tokens.h"
#include "runtime/data/text/unicode.h"

namespace longsight::data {

struct RenderedChat {
  std::string text;
  std::vector<ByteSpan> supervised;  // what is learned, ascending
  std::vector<ByteSpan>
      media;  // what stands for each image and video that appears, in order of ChatSample::media
  // Where the answer begins if it is tokenised apart from what is in front of it: all of that, but nothing of
  // the answer, is seen from everywhere. The tokenizer then adds no tokens of its own.
  std::optional<i64> suffix = {};
};

// Parsed once; any number of threads.
//
// What is learned: where the template marks {% generation %}, that; else each answer, from the end of what
// asks for it to its end of turn (answer_spans.h). Where the template ends no answer with a special token,
// the tokenizer's eos is added behind each and learned with it; where it ends them only in front of a
// question, behind the last one. Else answers are as the template writes them, also those that it does not
// end.
class ChatRenderer {
 public:
  // bad_data for a program that cannot be run, with file, line and construct, and for a token that the
  // template needs and the tokenizer lacks.
  ChatRenderer(ChatSource source, ChatTokens tokens);
  // The placeholder that the template writes for the k-th image or video becomes media_texts[k]
  // (media_text.h). bad_data (with sample.where) unless there is one for each of the sample's; for a
  // conversation that the template refuses; for a message of which nothing appears in the text, or tools that
  // the template does not show; for a text that spells the model's own placeholder (<|image_pad|>), unless
  // that is <image> or <video>, which are words in texts.
  RenderedChat render(const ChatSample& sample, std::span<const std::string> media_texts) const;
  // The conversation up to its last assistant message, with add_generation_prompt. Nothing is supervised.
  // media_texts holds at least those that appear in it.
  RenderedChat prompt(const ChatSample& sample, std::span<const std::string> media_texts) const;

  const ChatSource& source() const { return source_; }
  bool adds_eos() const;     // behind each answer, or behind the last one if stop() is not empty
  bool learns_stop() const;  // false: the template marks answers as generated without what ends them
  std::string stop() const;  // the special token that ends an answer; empty: none

 private:
  struct Program;
  struct Programs;
  const Program& program_of(const ChatSample&) const;
  RenderedChat run(const ChatSample&, std::size_t count, bool generation_prompt,
                   std::span<const std::string> media_texts) const;

  ChatSource source_;
  ChatTokens tokens_;
  std::shared_ptr<const Programs> programs_;
};

// A text of its own, all of it learned, with the tokenizer's eos behind it. bad_data without one, or if the
// text spells a placeholder that is no word.
RenderedChat render_plain(const ChatSample& sample, const ChatTokens& tokens);

}  // namespace longsight::data
