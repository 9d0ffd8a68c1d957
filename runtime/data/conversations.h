// Conversations in the style of LLaVA and ShareGPT, records of a JSON array or of a JSONL file:
//   LLaVA: {"id", "image": PATH or [PATH, ...], "video": [PATH, ...],
//           "conversations": [{"from": "human" | "gpt", "value": TEXT}, ...]}
//   ShareGPT, with configurable names: {"system": TEXT, "images": [PATH, ...], "videos": [[PATH, ...], ...],
//           "conversations": [...]}, or with "conversation": [{"human": TEXT, "assistant": TEXT}, ...]
// `<image>` anywhere in a text of the user stands for the next picture, `<video>` for the next video, a list
// of the paths of its frames; as many as there are. A sample without them is text only. A turn may say
// "loss": false. Other keys are ignored.
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
  std::string videos = "videos";
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("messages", s.messages);
    visit("role", s.role);
    visit("content", s.content);
    visit("user", s.user);
    visit("assistant", s.assistant);
    visit("system", s.system);
    visit("images", s.images);
    visit("videos", s.videos);
  }
};

void read_llava(const Json& record, SampleBuilder& sample);
void read_sharegpt(const Json& record, const ConversationTags& tags, SampleBuilder& sample);

}  // namespace longsight::data
