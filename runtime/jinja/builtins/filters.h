// Filters and tests by name.
#pragma once

#include <string_view>

#include "runtime/jinja/python/python.h"

namespace longsight::jinja {

using FilterBody = Value (*)(Run&, const Value& value, Arguments&& arguments);
using TestBody = bool (*)(Run&, const Value& value, Arguments&& arguments);

FilterBody find_filter(std::string_view name);  // or nullptr
TestBody find_test(std::string_view name);
// Is there a filter or test of this name in jinja2, that is not supported here?
bool unsupported_filter(std::string_view name);

Value run_filter(Run& run, std::string_view name, const Value& value, Arguments&& arguments);
bool run_test(Run& run, std::string_view name, const Value& value, Arguments&& arguments);

// range, dict, namespace, raise_exception, .., or nothing.
std::optional<Value> global_value(std::string_view name);

}  // namespace longsight::jinja
