// A record whose format is told by its keys.
#pragma once

#include <optional>

#include "runtime/data/records/sample_builder.h"

namespace longsight::data {

enum class RecordKind { messages, llava, sharegpt, text };

// "messages"; "conversations" or "conversation" (sharegpt if there is "images", "videos", "system" or
// "tools", or turns are pairs; otherwise llava, which is read the same way); "text", "query" or
// "instruction". Keys that are null do not count. Nothing for other records.
std::optional<RecordKind> kind_of(const Record& record);

// Reads a record of whichever kind, with the default tags; bad_data for one that is of none.
void read_any(const Record& record, SampleBuilder& sample);

}  // namespace longsight::data
