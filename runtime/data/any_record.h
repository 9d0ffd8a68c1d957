// A record whose format is told by its keys.
#pragma once

#include <optional>

#include "runtime/data/sample_builder.h"

namespace longsight::data {

enum class RecordKind { messages, llava, sharegpt, text };

// "messages"; "conversations" or "conversation" (sharegpt if there is "images" or "system", or turns are
// pairs; otherwise llava); "text", "query" or "instruction". Nothing for other records.
std::optional<RecordKind> kind_of(const Json& record);

// Reads a record of whichever kind, with the default tags; bad_data for one that is of none.
void read_any(const Json& record, SampleBuilder& sample);

}  // namespace longsight::data
