#include "runtime/jinja/builtins/filters_sequence.h"

#include <algorithm>

#include "runtime/jinja/builtins/getter.h"
#include "runtime/jinja/python/characters.h"
#include "runtime/jinja/python/parameters.h"
#include "runtime/jinja/python/string_methods.h"

namespace longsight::jinja::filter {
namespace {

Value without_case(Run& run, const Value& value) {
  return value.is(Kind::string) ? lower(run, value.text()) : value;
}

int height_of(const Value& value) {
  return height(value);
}

struct Keyed {
  std::vector<Value> keys;
  Value value;
};

// Stable; `reverse` keeps the order of equal elements too.
void sort_by_keys(Run& run, std::vector<Keyed>& all, bool reverse) {
  const auto before = [&run](const Keyed& a, const Keyed& b) {
    for (std::size_t i = 0; i < a.keys.size(); ++i) {
      // Lists of one key are compared by ==, then <.
      if (same(a.keys[i], b.keys[i]) || equal(run, a.keys[i], b.keys[i])) continue;
      return less(run, a.keys[i], b.keys[i]);
    }
    return false;
  };
  std::stable_sort(all.begin(), all.end(),
                   [&](const Keyed& a, const Keyed& b) { return reverse ? before(b, a) : before(a, b); });
}

Value list_of(std::vector<Keyed>&& all) {
  std::vector<Value> values;
  values.reserve(all.size());
  for (Keyed& each : all) values.push_back(std::move(each.value));
  return Value::list(std::move(values));
}

}  // namespace

Value attr(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("attr", std::move(arguments), {"name"}, 1);
  require_string(given[0], "attribute name");
  require_defined(value);
  if (value.is(Kind::dict)) {
    // Only what dict itself has; members are no attributes.
    std::string_view kept;
    const std::string& name = given[0].text().bytes;
    const Value empty = Value::object({});
    const Value own = attribute(run, empty, given[0]);
    if (find_method(Kind::dict, name, kept) == nullptr) return own;
  }
  return attribute(run, value, given[0]);
}

Value batch(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("batch", std::move(arguments), {"linecount", "fill_with"}, 1);
  const Value fill = given.value(1);
  const Value count = given[0];
  auto state =
      std::make_shared<std::pair<Cursor, std::vector<Value>>>(Cursor(run, value), std::vector<Value>{});
  return iterator(
      [state, fill, count, over = false](Run& r, Value& out) mutable {
        if (over) return false;
        auto& [cursor, row] = *state;
        Value each;
        while (cursor.next(r, each)) {
          if (is_number(count) && equal(r, Value::integer(static_cast<i64>(row.size())), count)) {
            out = Value::list(std::move(row));
            row = {each};
            return true;
          }
          r.spend_room(row.size());
          row.push_back(each);
        }
        over = true;
        if (row.empty()) return false;
        if (!fill.is(Kind::none)) {
          const i64 wanted = require_integer(count, "linecount");
          while (static_cast<i64>(row.size()) < wanted) {
            r.spend_room(row.size());
            row.push_back(fill);
          }
        }
        out = Value::list(std::move(row));
        return true;
      },
      height_of(value) + height_of(fill));
}

Value default_value(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("default", std::move(arguments), {"default_value", "boolean"});
  if (value.is(Kind::undefined) || (given.flag(run, 1) && !truth(run, value)))
    return given.value(0, Value::string(""));
  return value;
}

Value dictsort(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("dictsort", std::move(arguments), {"case_sensitive", "by", "reverse"});
  const std::string by = given.has(1) ? require_string(given[1], "by").bytes : "key";
  if (by != "key" && by != "value") refuse("You can only sort by either \"key\" or \"value\"");
  require_defined(value);
  if (!value.is(Kind::dict)) refuse("'{}' object has no attribute 'items'", type_name(value));
  std::vector<Keyed> all;
  for (const auto& [key, member] : value.dict().items) {
    const Value& sorted = by == "key" ? key : member;
    all.push_back({{given.flag(run, 0) ? sorted : without_case(run, sorted)}, Value::tuple({key, member})});
  }
  // The keys themselves are compared, not lists of them: there is no == first.
  const bool reverse = given.flag(run, 2);
  std::stable_sort(all.begin(), all.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? less(run, b.keys[0], a.keys[0]) : less(run, a.keys[0], b.keys[0]);
  });
  return list_of(std::move(all));
}

Value first(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("first", std::move(arguments), {});
  Cursor cursor(run, value);
  Value result;
  return cursor.next(run, result) ? result : undefined("No first item, sequence was empty.");
}

namespace {

// reversed(): what has a length and elements by index.
std::vector<Value> reversible(Run& run, const Value& value) {
  if (value.is(Kind::object) && value.object().length() < 0)
    refuse("'{}' object is not reversible", type_name(value));
  return elements(run, value);
}

}  // namespace

Value last(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("last", std::move(arguments), {});
  if (value.is(Kind::string) || value.is(Kind::list) || value.is(Kind::tuple)) {
    if (length(run, value) == 0) return undefined("No last item, sequence was empty.");
    const Value found = item(run, value, Value::integer(-1));
    return found;
  }
  const std::vector<Value> all = reversible(run, value);
  return all.empty() ? undefined("No last item, sequence was empty.") : all.back();
}

Value groupby(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("groupby", std::move(arguments), {"attribute", "default", "case_sensitive"}, 1);
  const Getter getter(run, given[0]);
  const Value otherwise = given.value(1);
  const Value* fallback = otherwise.is(Kind::none) ? nullptr : &otherwise;
  const bool sensitive = given.flag(run, 2);
  std::vector<Keyed> all;
  for (Value& each : elements(run, value)) {
    Value key = getter(run, each, fallback);
    all.push_back({{sensitive ? key : without_case(run, key)}, std::move(each)});
  }
  std::stable_sort(all.begin(), all.end(),
                   [&](const Keyed& a, const Keyed& b) { return less(run, a.keys[0], b.keys[0]); });
  std::vector<Value> groups;
  for (std::size_t i = 0; i < all.size();) {
    std::vector<Value> members;
    const Value key = all[i].keys[0];
    const Value shown = getter(run, all[i].value, fallback);
    while (i < all.size() && (same(all[i].keys[0], key) || equal(run, all[i].keys[0], key))) {
      members.push_back(std::move(all[i++].value));
    }
    Value group = Value::tuple({sensitive ? key : shown, Value::list(std::move(members))});
    const_cast<Sequence&>(group.sequence()).group = true;  // nobody else has it yet
    groups.push_back(std::move(group));
  }
  return Value::list(std::move(groups));
}

Value items(Run&, const Value& value, Arguments&& arguments) {
  const Parameters given("items", std::move(arguments), {});
  auto at = std::make_shared<std::size_t>(0);
  return iterator(
      [value, at](Run&, Value& out) {
        if (value.is(Kind::undefined)) return false;
        if (!value.is(Kind::dict)) refuse("Can only get item pairs from a mapping.");
        const auto& all = value.dict().items;
        if (*at >= all.size()) return false;
        const auto& [key, member] = all[(*at)++];
        out = Value::tuple({key, member});
        return true;
      },
      height(value));
}

Value join(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("join", std::move(arguments), {"d", "attribute"});
  const Getter getter(run, given.value(1));
  const Value separator = str(run, given.value(0, Value::string("")));
  TextBuilder out = run.builder();
  Cursor cursor(run, value);
  Value each;
  for (bool first_one = true; cursor.next(run, each); first_one = false) {
    if (!first_one) print(run, out, separator);
    print(run, out, getter(run, each));
  }
  return out.value();
}

Value length_of(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("length", std::move(arguments), {});
  return Value::integer(length(run, value));
}

Value list(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("list", std::move(arguments), {});
  return Value::list(elements(run, value));
}

namespace {

template <bool kMax>
Value extreme(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("the filter", std::move(arguments), {"case_sensitive", "attribute"});
  const Getter getter(run, given.value(1));
  const auto key_of = [&](const Value& each) {
    const Value key = getter(run, each);
    return given.flag(run, 0) ? key : without_case(run, key);
  };
  Cursor cursor(run, value);
  Value best;
  if (!cursor.next(run, best)) return undefined("No aggregated item, sequence was empty.");
  Value best_key = key_of(best);
  Value each;
  while (cursor.next(run, each)) {
    Value key = key_of(each);
    if (compare(run, kMax ? Comparison::gt : Comparison::lt, key, best_key)) {
      best = each;
      best_key = std::move(key);
    }
  }
  return best;
}

}  // namespace

Value max(Run& run, const Value& value, Arguments&& arguments) {
  return extreme<true>(run, value, std::move(arguments));
}
Value min(Run& run, const Value& value, Arguments&& arguments) {
  return extreme<false>(run, value, std::move(arguments));
}

Value reverse(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("reverse", std::move(arguments), {});
  if (value.is(Kind::string)) return slice(run, value, {}, {}, Value::integer(-1));
  if (!iterable(value)) refuse("argument must be iterable");
  std::vector<Value> all = elements(run, value);
  std::reverse(all.begin(), all.end());
  // What has no length becomes a list, the rest a pass over it.
  if (value.is(Kind::object) && value.object().length() < 0) return Value::list(std::move(all));
  auto state = std::make_shared<std::pair<std::vector<Value>, std::size_t>>(std::move(all), 0);
  return iterator(
      [state](Run&, Value& out) {
        if (state->second >= state->first.size()) return false;
        out = state->first[state->second++];
        return true;
      },
      height(value), "list_reverseiterator");
}

Value slices(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("slice", std::move(arguments), {"slices", "fill_with"}, 1);
  const i64 count = require_integer(given[0], "slices");
  const Value fill = given.value(1);
  const std::vector<Value> all = elements(run, value);
  std::vector<Value> result;
  const auto size = static_cast<i64>(all.size());
  if (count == 0) refuse("integer division or modulo by zero");
  i64 at = 0;
  for (i64 i = 0; i < count; ++i) {
    const i64 end = at + size / count + (i < size % count);
    run.spend_room(result.size(), 1 + end - at);
    std::vector<Value> part(all.begin() + at, all.begin() + end);
    if (!fill.is(Kind::none) && i >= size % count) part.push_back(fill);
    result.push_back(Value::list(std::move(part)));
    at = end;
  }
  auto state = std::make_shared<std::pair<std::vector<Value>, std::size_t>>(std::move(result), 0);
  return iterator(
      [state](Run&, Value& out) {
        if (state->second >= state->first.size()) return false;
        out = state->first[state->second++];
        return true;
      },
      height(value) + height(fill) + 1);
}

Value sort(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("sort", std::move(arguments), {"reverse", "case_sensitive", "attribute"});
  std::vector<Getter> getters;
  const Value attributes = given.value(2);
  if (attributes.is(Kind::string)) {
    for (const Value& each : split(run, attributes.text(), Value::string(","), -1, false))
      getters.emplace_back(run, each);
  } else {
    getters.emplace_back(run, attributes);
  }
  const bool sensitive = given.flag(run, 1);
  std::vector<Keyed> all;
  for (Value& each : elements(run, value)) {
    Keyed keyed;
    for (const Getter& getter : getters) {
      const Value key = getter(run, each);
      keyed.keys.push_back(sensitive ? key : without_case(run, key));
    }
    keyed.value = std::move(each);
    all.push_back(std::move(keyed));
  }
  sort_by_keys(run, all, given.flag(run, 0));
  return list_of(std::move(all));
}

Value sum(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("sum", std::move(arguments), {"attribute", "start"});
  const Getter getter(run, given.value(0));
  Value total = given.value(1, Value::integer(0));
  if (total.is(Kind::string)) refuse("sum() can't sum strings [use ''.join(seq) instead]");
  Cursor cursor(run, value);
  Value each;
  while (cursor.next(run, each)) total = binary(run, Binary::add, total, getter(run, each));
  return total;
}

Value unique(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("unique", std::move(arguments), {"case_sensitive", "attribute"});
  struct State {
    std::optional<Cursor> cursor;
    Value source;
    Getter getter;
    bool sensitive = false;
    Dict seen;
  };
  auto state = std::make_shared<State>();
  state->source = value;
  state->getter = Getter(run, given.value(1));
  state->sensitive = given.flag(run, 0);
  return iterator(
      [state](Run& r, Value& out) {
        if (!state->cursor) state->cursor.emplace(r, state->source);
        while (state->cursor->next(r, out)) {
          const Value looked_at = state->getter(r, out);
          const Value key = state->sensitive ? looked_at : without_case(r, looked_at);
          if (state->seen.find(r, key) != nullptr) continue;
          state->seen.set(r, key, {});
          return true;
        }
        return false;
      },
      height(value));
}

}  // namespace longsight::jinja::filter
