// Conversations in the style of LLaVA and ShareGPT, records of a JSON array or of a JSONL file:
//   {"id", "image": IMAGE or [IMAGE, ...], "video": [IMAGE, ...], "system": TEXT, "tools": TOOLS,
//    "conversations": [{"from": "human" | "gpt" | "system" | "function_call" | "observation", "value": TEXT},
//    ...]}
// ShareGPT data may call things otherwise, have their videos in "videos": [[IMAGE, ...], ...], or
// "conversation": [{"human": TEXT, "assistant": TEXT}, ...].
// `<image>` anywhere in a text of the user stands for the next picture, `<video>` for the next video, a list
// of its frames; as many as there are; \<image> is the word. A sample without them is text only. A
// "function_call" holds {"name", "arguments"} or a list of them as JSON, an "observation" what the function
// gave. A turn may say "loss": false. All keys: record_keys.h and docs/data.md.
#pragma once

#include <string>

#include "runtime/data/records/sample_builder.h"

namespace longsight::data {

// What ShareGPT data call things.
struct ConversationTags {
  std::string messages = "conversations";
  std::string role = "from";
  std::string content = "value";
  std::string user = "human";
  std::string assistant = "gpt";
  std::string system = "system";  // as a role, and beside the list
  std::string function = "function_call";
  std::string observation = "observation";
  std::string tools = "tools";
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
    visit("function", s.function);
    visit("observation", s.observation);
    visit("tools", s.tools);
    visit("images", s.images);
    visit("videos", s.videos);
  }
};

void read_conversations(const Record& record, const ConversationTags& tags, SampleBuilder& sample);

}  // namespace longsight::data
