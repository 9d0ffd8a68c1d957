// map, select, reject and their forms for attributes: passes that are made when elements are asked for.
#include <algorithm>

#include "runtime/jinja/builtins/filters_sequence.h"
#include "runtime/jinja/builtins/getter.h"
#include "runtime/jinja/python/parameters.h"

namespace longsight::jinja::filter {

Value map(Run& run, const Value& value, Arguments&& arguments) {
  if (!truth(run, value)) return iterator([](Run&, Value&) { return false; }, 0);
  const int highest = std::max(height(value), height(arguments));
  struct State {
    std::optional<Cursor> cursor;
    Value source;
    Arguments arguments;
    bool by_attribute = false;
    Getter getter;
    std::optional<Value> otherwise;
    std::string name;
  };
  auto state = std::make_shared<State>();
  state->source = value;
  state->arguments = std::move(arguments);
  // As a generator: nothing is looked at before the first element is wanted.
  return iterator(
      [state](Run& r, Value& out) {
        if (!state->cursor) {
          Arguments& given = state->arguments;
          if (given.positional.empty()) {
            const Parameters named("map", std::move(given), {"attribute", "default"});
            if (!named.has(0)) refuse("map requires a filter argument");
            state->by_attribute = true;
            state->getter = Getter(r, named[0]);
            if (named.has(1) && !named[1].is(Kind::none)) state->otherwise = named[1];
          } else {
            state->name = require_string(given.positional[0], "the name of a filter").bytes;
            given.positional.erase(given.positional.begin());
          }
          state->cursor.emplace(r, state->source);
        }
        Value each;
        if (!state->cursor->next(r, each)) return false;
        out = state->by_attribute ? state->getter(r, each, state->otherwise ? &*state->otherwise : nullptr)
                                  : run_filter(r, state->name, each, Arguments(state->arguments));
        return true;
      },
      highest);
}

namespace {

Value chosen(Run& run, const Value& value, Arguments&& arguments, bool by_attribute, bool wanted) {
  if (!truth(run, value)) return iterator([](Run&, Value&) { return false; }, 0);
  const int highest = std::max(height(value), height(arguments));
  struct State {
    std::optional<Cursor> cursor;
    Value source;
    Arguments arguments;
    Getter getter;
    std::optional<std::string> test;
  };
  auto state = std::make_shared<State>();
  state->source = value;
  state->arguments = std::move(arguments);
  return iterator(
      [state, by_attribute, wanted](Run& r, Value& out) {
        if (!state->cursor) {
          std::vector<Value>& given = state->arguments.positional;
          if (by_attribute) {
            if (given.empty()) refuse("Missing parameter for attribute name");
            state->getter = Getter(r, given.front());
            given.erase(given.begin());
          }
          if (!given.empty()) {
            state->test = require_string(given.front(), "the name of a test").bytes;
            given.erase(given.begin());
          }
          state->cursor.emplace(r, state->source);
        }
        while (state->cursor->next(r, out)) {
          const Value looked_at = state->getter(r, out);
          const bool holds = state->test ? run_test(r, *state->test, looked_at, Arguments(state->arguments))
                                         : truth(r, looked_at);
          if (holds == wanted) return true;
        }
        return false;
      },
      highest);
}

}  // namespace

Value select(Run& run, const Value& value, Arguments&& arguments) {
  return chosen(run, value, std::move(arguments), false, true);
}
Value reject(Run& run, const Value& value, Arguments&& arguments) {
  return chosen(run, value, std::move(arguments), false, false);
}
Value selectattr(Run& run, const Value& value, Arguments&& arguments) {
  return chosen(run, value, std::move(arguments), true, true);
}
Value rejectattr(Run& run, const Value& value, Arguments&& arguments) {
  return chosen(run, value, std::move(arguments), true, false);
}

}  // namespace longsight::jinja::filter
