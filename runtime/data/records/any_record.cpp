#include "runtime/data/records/any_record.h"

#include "runtime/data/records/conversations.h"
#include "runtime/data/records/messages.h"
#include "runtime/data/records/plain_text.h"

namespace longsight::data {

std::optional<RecordKind> kind_of(const Record& record) {
  if (!record.is_object()) return std::nullopt;
  const auto has = [&](const char* key) {
    const auto found = record.find(key);
    return found != record.end() && !found->is_null();
  };
  if (has("messages")) return RecordKind::messages;
  if (has("conversation")) return RecordKind::sharegpt;
  if (has("conversations")) {
    const bool sharegpt = has("images") || has("videos") || has("system") || has("tools");
    return sharegpt ? RecordKind::sharegpt : RecordKind::llava;
  }
  if (has("text") || has("query") || has("instruction")) return RecordKind::text;
  return std::nullopt;
}

void read_any(const Record& record, SampleBuilder& sample) {
  const std::optional<RecordKind> kind = kind_of(record);
  require(kind.has_value(), ExitCode::bad_data,
          "{}: no \"messages\", \"conversations\", \"text\", \"query\" or \"instruction\" in it",
          sample.where());
  switch (*kind) {
    case RecordKind::messages:
      return read_messages(record, sample);
    case RecordKind::llava:
    case RecordKind::sharegpt:
      return read_conversations(record, {}, sample);
    case RecordKind::text:
      return read_plain(record, sample);
  }
}

}  // namespace longsight::data
