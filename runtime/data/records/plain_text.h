// Data without pictures, records of a JSON array or of a JSONL file:
//   {"text": TEXT}                                       all of it is learned, no chat template around it
//   {"query": TEXT, "response": TEXT}                    with "system" and "history": [[query, response],
//   ...]
//   {"instruction": TEXT, "input": TEXT, "output": TEXT} the same (Alpaca); an input stands on a line of its
//   own
// Of "history" everything is learned. All keys: record_keys.h and docs/data.md.
#pragma once

#include "runtime/data/records/sample_builder.h"

namespace longsight::data {

void read_plain(const Record& record, SampleBuilder& sample);

}  // namespace longsight::data
