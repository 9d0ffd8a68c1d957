// labels: what of conversations is learned, as chat templates show them. Reads JSON objects, one a line, from
// standard input:
//   {"template": TEXT, "messages": [{"role", "content": TEXT, ..}], "tools": [..] or null, "special": [TEXT,
//   ..],
//    "named": {"eos_token": TEXT, ..}}
// and writes one for each: {"text": .., "learned": [[begin, end], ..]} (bytes), or {"error": ..}. For
// scripts/check_labels.py.
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "runtime/base/error.h"
#include "runtime/data/chat/render_chat.h"

using namespace longsight;
using namespace longsight::data;
using nlohmann::ordered_json;

namespace {

ChatMessage message_of(const ordered_json& json) {
  ChatMessage message;
  const std::string role = json.at("role");
  message.role = role == "system"      ? Role::system
                 : role == "user"      ? Role::user
                 : role == "assistant" ? Role::assistant
                                       : Role::tool;
  message.loss = message.role == Role::assistant;
  const std::string content = json.at("content");
  if (!content.empty() || !json.contains("tool_calls")) message.parts.push_back({.text = content});
  for (const auto& [key, value] : json.items()) {
    if (key == "role" || key == "content") continue;
    if (message.template_keys.is_null()) message.template_keys = ordered_json::object();
    message.template_keys[key] = value;
  }
  return message;
}

ChatTokens tokens_of(const ordered_json& job) {
  ChatTokens tokens;
  for (const auto& [name, token] : job.at("named").items()) tokens.named.emplace_back(name, token);
  tokens.special = job.at("special").get<std::vector<std::string>>();
  tokens.eos = job.at("named").at("eos_token");
  tokens.ends = {tokens.eos};
  return tokens;
}

}  // namespace

int main() {
  std::string source;
  std::optional<ChatRenderer> renderer;
  for (std::string line; std::getline(std::cin, line);) {
    ordered_json answer = ordered_json::object();
    try {
      const ordered_json job = ordered_json::parse(line);
      if (!renderer || job.at("template") != source) {
        renderer.reset();
        source = job.at("template").get<std::string>();
        renderer.emplace(ChatSource{.name = "t", .place = "t", .program = source}, tokens_of(job));
      }
      ChatSample sample{.where = "s", .id = {}, .messages = {}, .media = {}};
      for (const auto& message : job.at("messages")) sample.messages.push_back(message_of(message));
      sample.tools = job.at("tools");
      const RenderedChat chat = renderer->render(sample, {});
      answer["text"] = chat.text;
      answer["learned"] = ordered_json::array();
      for (const ByteSpan& span : chat.supervised) answer["learned"].push_back({span.begin, span.end});
    } catch (const Error& error) {
      answer["error"] = error.what();
    }
    std::cout << answer.dump() << "\n";
  }
}
