// Tools, tool calls and other keys of messages that only a chat template reads.
#pragma once

#include "runtime/data/records/record_object.h"

namespace longsight::data {

// Members of objects that are null are taken out, in every depth: Arrow fills in what other records have.
Record without_nulls(const Record& value);

// A list of objects, or a text that holds one as JSON (as ShareGPT data have it). Null for none.
Record read_tools(const Record& value, const std::string& where);

// "tool_calls" of a message: a list of {"type": "function", "id", "function": {"name", "arguments": OBJECT or
// TEXT}}, or of what stands in "function" alone. Checked, and otherwise left as it is written.
Record read_tool_calls(const Record& value, const std::string& where);

// The text of a turn that calls functions, {"name", "arguments"} or a list of them as JSON, as tool_calls.
Record parse_function_calls(const std::string& text, const std::string& where);

}  // namespace longsight::data
