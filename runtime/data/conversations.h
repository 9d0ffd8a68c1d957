// Conversations in the style of LLaVA and ShareGPT, records of a JSON array or of a JSONL file:
//   LLaVA:    {"id", "image": PATH or [PATH, ...], "conversations": [{"from": "human" | "gpt", "value":
//   TEXT}, ...]} ShareGPT: {"system": TEXT, "images": [PATH, ...], "conversations": [...]}, names
//   configurable;
//             or {"system": TEXT, "images": [...], "conversation": [{"human": TEXT, "assistant": TEXT}, ...]}
// `<image>` anywhere in a text of the user stands for the next picture; as many as there are pictures. A
// sample without pictures is text only. A turn may say "loss": false. Other keys are ignored.
#pragma once

#include <string>

#include "runtime/data/sample_builder.h"

namespace longsight::data {

// What ShareGPT data call things.
struct ConversationTags {
  std::string messages = "conversations";
  std::string role = "from";
  std::string content = "value";
  std::string user = "human";
  std::string assistant = "gpt";
  std::string system = "system";  // as a role, and beside the list
  std::string images = "images";
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("messages", s.messages);
    visit("role", s.role);
    visit("content", s.content);
    visit("user", s.user);
    visit("assistant", s.assistant);
    visit("system", s.system);
    visit("images", s.images);
  }
};

void read_llava(const Json& record, SampleBuilder& sample);
void read_sharegpt(const Json& record, const ConversationTags& tags, SampleBuilder& sample);

}  // namespace longsight::data
