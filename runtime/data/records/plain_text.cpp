#include "runtime/data/records/plain_text.h"

namespace longsight::data {
namespace {

void add(SampleBuilder& sample, Role role, const std::string& text, const char* key) {
  sample.begin_message(role, role == Role::assistant, fmt::format("{}: \"{}\"", sample.where(), key));
  sample.add_text(text);
  sample.end_message();
}

void add_history(SampleBuilder& sample, const Record& history) {
  for (const Record& turn : history) {
    require(turn.is_array() && turn.size() == 2 && turn[0].is_string() && turn[1].is_string(),
            ExitCode::bad_data, "{}: history: {} is not [QUERY, RESPONSE]", sample.where(), shown(turn));
    add(sample, Role::user, turn[0].get<std::string>(), "history");
    add(sample, Role::assistant, turn[1].get<std::string>(), "history");
  }
}

// Pictures may be listed as none.
void refuse_pictures(const RecordObject& record) {
  for (const char* key : {"image", "images", "video", "videos"}) {
    const Record* media = record.find(key);
    require(media == nullptr || (media->is_array() && media->empty()), ExitCode::bad_data,
            "{}: \"{}\" in data of kind text; use messages, llava or sharegpt for pictures", record.where(),
            key);
  }
}

void read_question(const RecordObject& record, bool alpaca, SampleBuilder& sample) {
  if (const auto system = record.optional_text("system"))
    sample.set_system(*system, record.where() + ": \"system\"");
  if (const Record* history = record.optional_list("history")) add_history(sample, *history);
  const char* const question = alpaca ? "instruction" : "query";
  const char* const answer = alpaca ? "output" : "response";
  std::string text = record.text(question);
  if (const auto input = alpaca ? record.optional_text("input") : std::nullopt; input && !input->empty())
    text += (text.empty() ? "" : "\n") + *input;
  add(sample, Role::user, text, question);
  add(sample, Role::assistant, record.text(answer), answer);
}

}  // namespace

void read_plain(const Record& json, SampleBuilder& sample) {
  const auto has = [&](const char* key) {
    return json.is_object() && json.contains(key) && !json[key].is_null();
  };
  const bool text = has("text"), alpaca = has("instruction");
  std::vector<std::string> keys{"id", "image", "images", "video", "videos"};
  for (const char* key : {"system", "history"}) {
    if (!text) keys.emplace_back(key);
  }
  if (text) keys.emplace_back("text");
  if (!text && alpaca) keys.insert(keys.end(), {"instruction", "input", "output"});
  if (!text && !alpaca) keys.insert(keys.end(), {"query", "response", "text", "instruction"});
  const RecordObject record = sample.object(json, keys, record_keys(), sample.where());
  require(text || alpaca || record.has("query"), ExitCode::bad_data,
          "{}: neither \"text\" nor \"query\" nor \"instruction\"", record.where());
  sample.set_id(record);
  refuse_pictures(record);
  if (!text) return read_question(record, alpaca, sample);
  sample.set_plain();
  add(sample, Role::assistant, record.text("text"), "text");
}

}  // namespace longsight::data
