// Filters whose result is a text or a number; see filters.cpp for their names.
#pragma once

#include "runtime/jinja/builtins/filters.h"

namespace longsight::jinja::filter {

Value abs(Run& run, const Value& value, Arguments&& arguments);
Value capitalize(Run& run, const Value& value, Arguments&& arguments);
Value center(Run& run, const Value& value, Arguments&& arguments);
Value escape(Run& run, const Value& value, Arguments&& arguments);
Value forceescape(Run& run, const Value& value, Arguments&& arguments);
Value format(Run& run, const Value& value, Arguments&& arguments);
Value indent(Run& run, const Value& value, Arguments&& arguments);
Value integer(Run& run, const Value& value, Arguments&& arguments);
Value lower(Run& run, const Value& value, Arguments&& arguments);
Value real(Run& run, const Value& value, Arguments&& arguments);
Value replace(Run& run, const Value& value, Arguments&& arguments);
Value round(Run& run, const Value& value, Arguments&& arguments);
Value safe(Run& run, const Value& value, Arguments&& arguments);
Value string(Run& run, const Value& value, Arguments&& arguments);
Value title(Run& run, const Value& value, Arguments&& arguments);
Value tojson(Run& run, const Value& value, Arguments&& arguments);
Value trim(Run& run, const Value& value, Arguments&& arguments);
Value truncate(Run& run, const Value& value, Arguments&& arguments);
Value upper(Run& run, const Value& value, Arguments&& arguments);
Value urlencode(Run& run, const Value& value, Arguments&& arguments);
Value wordcount(Run& run, const Value& value, Arguments&& arguments);
Value xmlattr(Run& run, const Value& value, Arguments&& arguments);

}  // namespace longsight::jinja::filter
