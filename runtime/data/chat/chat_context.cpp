#include "runtime/data/chat/chat_context.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace longsight::data {

std::string text_of(const ChatMessage& message) {
  std::string text;
  for (const ChatPart& part : message.parts) text += part.text;
  return text;
}

namespace {

using jinja::Value;
using Members = std::vector<std::pair<std::string, Value>>;
using From = TextOrigin::From;

const char* name_of(Role role) {
  switch (role) {
    case Role::system:
      return "system";
    case Role::user:
      return "user";
    case Role::assistant:
      return "assistant";
    case Role::tool:
      return "tool";
  }
  fail(ExitCode::internal, "no role {}", static_cast<int>(role));
}

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string::npos;
}

From from_of(Role role, const std::string& key) {
  if (key == "name") return From::name;
  if (role != Role::assistant) return From::other;
  if (key == "tool_calls" || key == "function_call") return From::calls;
  const bool reasoning = key == "reasoning_content" || key == "reasoning" || key == "thinking";
  return reasoning ? From::reasoning : From::other;
}

class Builder {
 public:
  Value string(const std::string& text, std::size_t message, From from, std::string what = {},
               bool harmless = false) {
    origins_.push_back({.message = message,
                        .from = from,
                        .text = text,
                        .what = std::move(what),
                        .harmless = harmless || is_blank(text)});
    return Value::string(text, static_cast<int>(origins_.size()) - 1);
  }

  // All strings in a value of a record share an origin; in calls of tools each has its own.
  Value json(const nlohmann::ordered_json& json, std::size_t message, From from) {
    if (from == From::calls) return calls(json, message);
    if (json.is_string()) return string(json.get_ref<const std::string&>(), message, from);
    origins_.push_back({.message = message, .from = from});
    return with_origin(json, static_cast<int>(origins_.size()) - 1);
  }

  Value content(const ChatMessage& message, std::size_t index, ContentForm form) {
    if (form == ContentForm::text) {
      // Media have no place in a text; the renderer has refused them.
      return string(text_of(message), index, From::content);
    }
    std::vector<Value> parts;
    for (const ChatPart& part : message.parts) {
      const char* type = part.is_text() ? "text" : part.kind == PartKind::image ? "image" : "video";
      Members members{{"type", Value::string(type)}};
      if (part.is_text()) members.emplace_back("text", string(part.text, index, From::content));
      parts.push_back(Value::object(std::move(members)));
    }
    return Value::list(std::move(parts));
  }

  Value message(const ChatMessage& message, std::size_t index, ContentForm form) {
    Members members{{"role", Value::string(name_of(message.role))}};
    members.emplace_back("content", content(message, index, form));
    if (!message.template_keys.is_object()) return Value::object(std::move(members));
    for (const auto& [key, value] : message.template_keys.items()) {
      members.emplace_back(key, json(value, index, from_of(message.role, key)));
    }
    return Value::object(std::move(members));
  }

  std::vector<TextOrigin> take() { return std::move(origins_); }

 private:
  Value calls(const nlohmann::ordered_json& json, std::size_t message) {
    if (json.is_array()) {
      std::vector<Value> items;
      for (const auto& item : json) items.push_back(calls(item, message));
      return Value::list(std::move(items));
    }
    if (!json.is_object()) return argument(json, message, {}, true);
    Members members;
    for (const auto& [key, value] : json.items()) {
      const bool function = key == "function" && value.is_object();
      const bool says = key == "name" || key == "arguments";
      members.emplace_back(key, function ? calls(value, message)
                                         : argument(value, message, says ? key : std::string(), !says));
    }
    return Value::object(std::move(members));
  }

  // `what`: which argument of a call this is, or is part of.
  Value argument(const nlohmann::ordered_json& json, std::size_t message, const std::string& what,
                 bool harmless) {
    if (json.is_string())
      return string(json.get_ref<const std::string&>(), message, From::calls, what, harmless);
    if (json.is_array()) {
      std::vector<Value> items;
      for (const auto& item : json) items.push_back(argument(item, message, what, harmless));
      return Value::list(std::move(items));
    }
    if (!json.is_object()) return Value::of(json);
    std::vector<std::pair<Value, Value>> members;
    for (const auto& [key, value] : json.items()) {
      const std::string which = "the argument " + key;
      // A number has no origin: that it is shown is told by its name.
      const bool named = harmless || has_text(value);
      Value name = string(key, message, From::calls, which, named);
      members.emplace_back(std::move(name), argument(value, message, which, harmless));
    }
    return Value::dict_of(std::move(members));
  }

  static bool has_text(const nlohmann::ordered_json& json) {
    if (json.is_string()) return !is_blank(json.get_ref<const std::string&>());
    return json.is_structured() && std::any_of(json.begin(), json.end(), has_text);
  }

  Value with_origin(const nlohmann::ordered_json& json, int origin) {
    if (json.is_string()) return Value::string(json.get<std::string>(), origin);
    if (json.is_array()) {
      std::vector<Value> items;
      for (const auto& item : json) items.push_back(with_origin(item, origin));
      return Value::list(std::move(items));
    }
    if (json.is_object()) {
      Members members;
      for (const auto& [key, value] : json.items()) members.emplace_back(key, with_origin(value, origin));
      return Value::object(std::move(members));
    }
    return Value::of(json);
  }

  std::vector<TextOrigin> origins_;
};

}  // namespace

ChatContext chat_context(const ChatSample& sample, std::size_t count, ContentForm form,
                         bool generation_prompt,
                         const std::vector<std::pair<std::string, std::string>>& named) {
  Builder builder;
  std::vector<Value> messages;
  for (std::size_t i = 0; i < count; ++i) messages.push_back(builder.message(sample.messages[i], i, form));
  Members context;
  for (const auto& [name, token] : named) context.emplace_back(name, Value::string(token));
  context.emplace_back("messages", Value::list(std::move(messages)));
  context.emplace_back("tools", sample.tools.is_null()
                                    ? Value()
                                    : builder.json(sample.tools, TextOrigin::kTools, From::other));
  context.emplace_back("documents", Value());
  context.emplace_back("add_generation_prompt", Value::boolean(generation_prompt));
  return {.value = Value::object(std::move(context)), .origins = builder.take()};
}

}  // namespace longsight::data
