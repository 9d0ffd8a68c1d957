#include "runtime/data/records/messages.h"

#include "runtime/base/shorten.h"
#include "runtime/base/suggest.h"
#include "runtime/data/records/listed_media.h"
#include "runtime/data/records/message_parts.h"
#include "runtime/data/records/tools.h"

namespace longsight::data {
namespace {

// Besides role and content, for the chat template.
constexpr const char* kTexts[] = {"name", "tool_call_id", "reasoning_content"};

Role role_of(const RecordObject& message) {
  const std::string& role = message.text("role");
  if (role == "system") return Role::system;
  if (role == "user") return Role::user;
  if (role == "assistant") return Role::assistant;
  if (role == "tool") return Role::tool;
  static const std::vector<std::string> known{"system", "user", "assistant", "tool"};
  fail(ExitCode::bad_data, "{}: role \"{}\" is not known{}", message.where(), shortened(role),
       did_you_mean(role, known));
}

// In the order of the record, which templates that print a message keep.
void read_template_keys(const Record& json, const RecordObject& message, Role role, SampleBuilder& sample) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_null()) continue;
    if (key == "tool_calls") {
      require(role == Role::assistant, ExitCode::bad_data,
              "{}: \"tool_calls\" are for assistant messages only", message.where());
      Record calls = read_tool_calls(value, message.where());
      if (!calls.empty()) sample.set_template_key(key, std::move(calls));
    }
    for (const char* text : kTexts) {
      if (key == text) sample.set_template_key(key, message.text(key));
    }
  }
}

void read_content(const RecordObject& message, SampleBuilder& sample) {
  const Record* content = message.find("content");
  if (content == nullptr && message.has("tool_calls")) return;  // as OpenAI writes calls
  if (content == nullptr) content = &message.get("content");
  if (content->is_string()) return sample.add_text(content->get_ref<const std::string&>());
  require(content->is_array(), ExitCode::bad_data, "{}: content must be a text or a list of parts, not {}",
          message.where(), shown(*content));
  i64 number = 0;
  for (const Record& part : *content)
    read_part(part, sample, fmt::format("{}, part {}", message.where(), ++number));
}

void read_message(const Record& json, std::size_t index, SampleBuilder& sample) {
  const RecordObject message = sample.object(
      json, {"role", "content", "loss", "name", "tool_calls", "tool_call_id", "reasoning_content"},
      message_keys(), fmt::format("{}: message {}", sample.where(), index + 1));
  const Role role = role_of(message);
  const std::optional<bool> loss = message.optional_bool("loss");
  require(role == Role::assistant || !loss.value_or(false), ExitCode::bad_data,
          "{}: loss: true is for assistant messages only", message.where());
  sample.begin_message(role, role == Role::assistant && loss.value_or(true), message.where());
  read_template_keys(json, message, role, sample);
  read_content(message, sample);
  sample.end_message();
}

}  // namespace

void read_messages(const Record& json, SampleBuilder& sample) {
  const RecordObject record =
      sample.object(json, {"messages", "images", "image", "videos", "video", "system", "tools", "id"},
                    record_keys(), sample.where());
  sample.set_id(record);
  list_media(record, {}, sample);
  if (const auto system = record.optional_text("system"))
    sample.set_system(*system, record.where() + ": \"system\"");
  if (const Record* tools = record.find("tools")) sample.set_tools(read_tools(*tools, record.where()));
  const Record& messages = record.list("messages");
  require(!messages.empty(), ExitCode::bad_data, "{}: messages is empty", record.where());
  for (std::size_t i = 0; i < messages.size(); ++i) read_message(messages[i], i, sample);
}

}  // namespace longsight::data
