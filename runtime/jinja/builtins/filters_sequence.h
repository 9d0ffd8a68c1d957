// Filters over elements; see filters.cpp for their names.
#pragma once

#include "runtime/jinja/builtins/filters.h"

namespace longsight::jinja::filter {

Value attr(Run& run, const Value& value, Arguments&& arguments);
Value batch(Run& run, const Value& value, Arguments&& arguments);
Value default_value(Run& run, const Value& value, Arguments&& arguments);
Value dictsort(Run& run, const Value& value, Arguments&& arguments);
Value first(Run& run, const Value& value, Arguments&& arguments);
Value groupby(Run& run, const Value& value, Arguments&& arguments);
Value items(Run& run, const Value& value, Arguments&& arguments);
Value join(Run& run, const Value& value, Arguments&& arguments);
Value last(Run& run, const Value& value, Arguments&& arguments);
Value length_of(Run& run, const Value& value, Arguments&& arguments);
Value list(Run& run, const Value& value, Arguments&& arguments);
Value map(Run& run, const Value& value, Arguments&& arguments);
Value max(Run& run, const Value& value, Arguments&& arguments);
Value min(Run& run, const Value& value, Arguments&& arguments);
Value reject(Run& run, const Value& value, Arguments&& arguments);
Value rejectattr(Run& run, const Value& value, Arguments&& arguments);
Value reverse(Run& run, const Value& value, Arguments&& arguments);
Value select(Run& run, const Value& value, Arguments&& arguments);
Value selectattr(Run& run, const Value& value, Arguments&& arguments);
Value slices(Run& run, const Value& value, Arguments&& arguments);
Value sort(Run& run, const Value& value, Arguments&& arguments);
Value sum(Run& run, const Value& value, Arguments&& arguments);
Value unique(Run& run, const Value& value, Arguments&& arguments);

}  // namespace longsight::jinja::filter
