#include "runtime/data/plain_text.h"

namespace longsight::data {
namespace {

void add(SampleBuilder& sample, Role role, const std::string& text, const char* key) {
  sample.begin_message(role, role == Role::assistant, fmt::format("{}: \"{}\"", sample.where(), key));
  sample.add_text(text);
  sample.end_message();
}

void add_history(SampleBuilder& sample, const Json& history) {
  for (const Json& turn : history) {
    require(turn.is_array() && turn.size() == 2 && turn[0].is_string() && turn[1].is_string(),
            ExitCode::bad_data, "{}: history: {} is not [QUERY, RESPONSE]", sample.where(), shown(turn));
    add(sample, Role::user, turn[0].get<std::string>(), "history");
    add(sample, Role::assistant, turn[1].get<std::string>(), "history");
  }
}

}  // namespace

void read_plain(const Json& record, SampleBuilder& sample) {
  const std::string& where = sample.where();
  require(record.is_object(), ExitCode::bad_data, "{}: a sample must be an object, not {}", where,
          shown(record));
  sample.set_id(record);
  for (const char* key : {"image", "images"}) {
    const auto images = record.find(key);
    require(images == record.end() || images->is_null() || (images->is_array() && images->empty()),
            ExitCode::bad_data,
            "{}: \"{}\" in data of kind text; use messages, llava or sharegpt for pictures", where, key);
  }
  if (record.contains("text")) {
    const std::string& text = require_string(record, "text", where);
    sample.set_plain();
    add(sample, Role::assistant, text, "text");
    return;
  }
  const bool alpaca = record.contains("instruction");
  require(alpaca || record.contains("query"), ExitCode::bad_data,
          "{}: neither \"text\" nor \"query\" nor \"instruction\"", where);
  if (const auto system = optional_string(record, "system", where); system && !system->empty()) {
    add(sample, Role::system, *system, "system");
  }
  if (const Json* history = optional_array(record, "history", where)) add_history(sample, *history);
  const char* const question = alpaca ? "instruction" : "query";
  const char* const answer = alpaca ? "output" : "response";
  std::string text = require_string(record, question, where);
  if (const auto input = optional_string(record, "input", where); alpaca && input && !input->empty()) {
    text += (text.empty() ? "" : "\n") + *input;
  }
  add(sample, Role::user, text, question);
  add(sample, Role::assistant, require_string(record, answer, where), answer);
}

}  // namespace longsight::data
