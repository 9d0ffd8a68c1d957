// A conversation as a chat template sees it: the variables that transformers' apply_chat_template gives to
// it. Internal to this folder.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/data/chat/chat_sample.h"
#include "runtime/jinja/value.h"

namespace longsight::data {

// Where a string of the context comes from; its number is the index in ChatContext::origins.
struct TextOrigin {
  enum class From {
    content,    // a text part of a message
    calls,      // of an assistant's message: tool_calls
    reasoning,  // of an assistant's message: reasoning_content
    name,       // of a message
    other       // further keys of a message, tools
  };
  static constexpr std::size_t kTools = static_cast<std::size_t>(-1);

  std::size_t message = kTools;
  From from = From::other;
  std::string text = {};  // the string
  std::string what = {};  // of calls, for messages: which of its strings this is
  // Says nothing that the model must see: spaces, the id of a call, the name of an argument that has a text.
  bool harmless = false;
};

// How the content of a message is given.
enum class ContentForm { text, parts };

struct ChatContext {
  jinja::Value value;
  std::vector<TextOrigin> origins;
};

// `named`: the tokenizer's special tokens by their names (bos_token, ..). The first `count` messages.
ChatContext chat_context(const ChatSample& sample, std::size_t count, ContentForm form,
                         bool generation_prompt,
                         const std::vector<std::pair<std::string, std::string>>& named);

}  // namespace longsight::data
