// Conversations and tokens for tests of chat templates.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/data/chat/render_chat.h"

namespace longsight::data {

inline ChatMessage say(Role role, std::vector<ChatPart> parts) {
  return {.role = role, .parts = std::move(parts), .loss = role == Role::assistant};
}
inline ChatPart text(std::string value) {
  return {.text = std::move(value)};
}
inline ChatPart image() {
  return {.kind = PartKind::image};
}
inline ChatSample talk(std::vector<ChatMessage> messages) {
  return {.where = "f.jsonl:7", .id = {}, .messages = std::move(messages), .media = {}};
}

// The tokens of the families whose templates are known by name; images are marked with `image`.
inline ChatTokens tokens_for_tests(std::string image = "<image>") {
  return {.named = {{"bos_token", "<s>"}, {"eos_token", "</s>"}},
          .special = {"<s>", "</s>", "<|im_start|>", "<|im_end|>", "<end_of_utterance>", "<|eot_id|>",
                      "<|start_header_id|>", "<|end_header_id|>", "<|begin_of_text|>", "<image>",
                      "<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<IMG_CONTEXT>"},
          .ends = {"</s>"},
          .eos = "</s>",
          .image = std::move(image),
          .video = "<|video_pad|>"};
}

// The supervised texts, each in brackets.
inline std::string supervised(const RenderedChat& chat) {
  std::string all;
  for (const ByteSpan& span : chat.supervised) {
    all += "[" +
           chat.text.substr(static_cast<std::size_t>(span.begin),
                            static_cast<std::size_t>(span.end - span.begin)) +
           "]";
  }
  return all;
}

}  // namespace longsight::data
