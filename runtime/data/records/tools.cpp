#include "runtime/data/records/tools.h"

#include "runtime/base/shorten.h"

namespace longsight::data {
namespace {

void check_function(const Record& function, const std::string& where) {
  require(function.is_object(), ExitCode::bad_data,
          "{}: expected an object with \"name\" and \"arguments\", got {}", where, shown(function));
  const auto name = function.find("name");
  require(name != function.end() && name->is_string() && !name->get_ref<const std::string&>().empty(),
          ExitCode::bad_data, "{}: a call without the name of its function", where);
  const auto arguments = function.find("arguments");
  require(arguments == function.end() || arguments->is_object() || arguments->is_string(), ExitCode::bad_data,
          "{}: \"arguments\": expected an object, got {}", where,
          arguments == function.end() ? "" : shown(*arguments));
}

Record parsed(const std::string& text, const std::string& what, const std::string& where) {
  try {
    return parse_ordered_json(text, what);
  } catch (const Error& error) {
    fail(ExitCode::bad_data, "{}: {}: {}", where, error.what(), shortened(text));
  }
}

}  // namespace

Record without_nulls(const Record& value) {
  if (value.is_object()) {
    Record kept = Record::object();
    // Not through the object, which would look for each key among all others.
    std::vector<Record::object_t::value_type>& members = kept.get_ref<Record::object_t&>();
    for (const auto& [key, member] : value.items()) {
      if (!member.is_null()) members.emplace_back(key, without_nulls(member));
    }
    return kept;
  }
  if (!value.is_array()) return value;
  Record kept = Record::array();
  for (const Record& item : value) kept.push_back(without_nulls(item));
  return kept;
}

Record read_tools(const Record& value, const std::string& where) {
  const std::string place = where + ": \"tools\"";
  Record tools;
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    if (text.find_first_not_of(" \t\r\n") == std::string::npos) return nullptr;
    tools = parsed(text, "tools", where);
  } else {
    tools = without_nulls(value);
  }
  if (tools.is_null()) return nullptr;
  require(tools.is_array(), ExitCode::bad_data, "{}: expected a list of functions, got {}", place,
          shown(tools));
  for (std::size_t i = 0; i < tools.size(); ++i)
    require(tools[i].is_object(), ExitCode::bad_data, "{}: number {}: expected an object, got {}", place,
            i + 1, shown(tools[i]));
  return tools.empty() ? Record(nullptr) : tools;
}

Record read_tool_calls(const Record& value, const std::string& where) {
  const std::string place = where + ": \"tool_calls\"";
  Record calls = without_nulls(value);
  require(calls.is_array(), ExitCode::bad_data, "{}: expected a list of calls, got {}", place, shown(calls));
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const std::string one = fmt::format("{}: number {}", place, i + 1);
    require(calls[i].is_object(), ExitCode::bad_data, "{}: expected an object, got {}", one, shown(calls[i]));
    check_function(calls[i].contains("function") ? calls[i]["function"] : calls[i], one);
  }
  return calls;
}

Record parse_function_calls(const std::string& text, const std::string& where) {
  Record functions = parsed(text, "a function call", where);
  if (!functions.is_array()) functions = Record::array({functions});
  require(!functions.empty(), ExitCode::bad_data, "{}: an empty list of function calls", where);
  Record calls = Record::array();
  for (Record& function : functions) {
    check_function(function, where);
    Record call = Record::object();
    call["type"] = "function";
    call["function"] = std::move(function);
    calls.push_back(std::move(call));
  }
  return calls;
}

}  // namespace longsight::data
