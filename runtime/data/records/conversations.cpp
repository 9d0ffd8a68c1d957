#include "runtime/data/records/conversations.h"

#include "runtime/base/shorten.h"
#include "runtime/data/records/listed_media.h"
#include "runtime/data/records/tools.h"

namespace longsight::data {
namespace {

Role role_of(const RecordObject& turn, const ConversationTags& tags) {
  const std::string& name = turn.text(tags.role);
  if (name == tags.user) return Role::user;
  if (name == tags.assistant || name == tags.function) return Role::assistant;
  if (name == tags.system) return Role::system;
  if (name == tags.observation) return Role::tool;
  fail(ExitCode::bad_data,
       "{}: \"{}\": \"{}\" is not {}, {}, {}, {} or {} (tags of sharegpt data say other names)", turn.where(),
       tags.role, shortened(name), tags.user, tags.assistant, tags.system, tags.function, tags.observation);
}

void read_turn(const Record& json, std::size_t index, const ConversationTags& tags, SampleBuilder& sample) {
  const RecordObject turn = sample.object(json, {tags.role, tags.content, "loss"}, message_keys(),
                                          fmt::format("{}: turn {}", sample.where(), index + 1));
  const Role role = role_of(turn, tags);
  const std::optional<bool> loss = turn.optional_bool("loss");
  require(role == Role::assistant || !loss.value_or(false), ExitCode::bad_data,
          "{}: loss: true is for answers only", turn.where());
  sample.begin_message(role, role == Role::assistant && loss.value_or(true), turn.where());
  const std::string& text = turn.text(tags.content);
  if (turn.text(tags.role) == tags.function) {
    sample.set_template_key("tool_calls", parse_function_calls(text, turn.where()));
  } else {
    sample.add_text(text);
  }
  sample.end_message();
}

void read_turns(const RecordObject& record, const ConversationTags& tags, SampleBuilder& sample) {
  const Record& turns = record.list(tags.messages);
  require(!turns.empty(), ExitCode::bad_data, "{}: {} is empty", sample.where(), tags.messages);
  for (std::size_t i = 0; i < turns.size(); ++i) read_turn(turns[i], i, tags, sample);
}

// [{"human": TEXT, "assistant": TEXT}, ...]
void read_pairs(const Record& pairs, SampleBuilder& sample) {
  require(pairs.is_array() && !pairs.empty(), ExitCode::bad_data,
          "{}: conversation must be a list of {{\"human\", \"assistant\"}}", sample.where());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const RecordObject pair = sample.object(pairs[i], {"human", "assistant"}, message_keys(),
                                            fmt::format("{}: turn {}", sample.where(), i + 1));
    for (const auto& [key, role] :
         {std::pair("human", Role::user), std::pair("assistant", Role::assistant)}) {
      sample.begin_message(role, role == Role::assistant, pair.where());
      sample.add_text(pair.text(key));
      sample.end_message();
    }
  }
}

}  // namespace

void read_conversations(const Record& json, const ConversationTags& tags, SampleBuilder& sample) {
  const RecordObject record = sample.object(json,
                                            {tags.messages, "conversation", tags.images, "image", tags.videos,
                                             "video", tags.system, tags.tools, "id"},
                                            record_keys(), sample.where());
  sample.set_id(record);
  list_media(record, {.images = tags.images, .videos = tags.videos}, sample);
  if (const auto system = record.optional_text(tags.system))
    sample.set_system(*system, fmt::format("{}: \"{}\"", record.where(), tags.system));
  if (const Record* tools = record.find(tags.tools)) sample.set_tools(read_tools(*tools, record.where()));
  const Record* pairs = tags.messages == "conversation" ? nullptr : record.find("conversation");
  require(pairs == nullptr || !record.has(tags.messages), ExitCode::bad_data,
          "{}: \"conversation\" and \"{}\"; keep one of them", record.where(), tags.messages);
  if (pairs != nullptr) {
    read_pairs(*pairs, sample);
  } else {
    read_turns(record, tags, sample);
  }
}

}  // namespace longsight::data
