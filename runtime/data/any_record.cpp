#include "runtime/data/any_record.h"

#include "runtime/data/conversations.h"
#include "runtime/data/messages.h"
#include "runtime/data/plain_text.h"

namespace longsight::data {

std::optional<RecordKind> kind_of(const Json& record) {
  if (!record.is_object()) return std::nullopt;
  if (record.contains("messages")) return RecordKind::messages;
  if (record.contains("conversation")) return RecordKind::sharegpt;
  if (record.contains("conversations")) {
    return record.contains("images") || record.contains("system") ? RecordKind::sharegpt : RecordKind::llava;
  }
  for (const char* key : {"text", "query", "instruction"}) {
    if (record.contains(key)) return RecordKind::text;
  }
  return std::nullopt;
}

void read_any(const Json& record, SampleBuilder& sample) {
  const std::optional<RecordKind> kind = kind_of(record);
  require(kind.has_value(), ExitCode::bad_data,
          "{}: no \"messages\", \"conversations\", \"text\", \"query\" or \"instruction\" in it",
          sample.where());
  switch (*kind) {
    case RecordKind::messages:
      return read_messages(record, sample);
    case RecordKind::llava:
      return read_llava(record, sample);
    case RecordKind::sharegpt:
      return read_sharegpt(record, {}, sample);
    case RecordKind::text:
      return read_plain(record, sample);
  }
}

}  // namespace longsight::data
