// object.name, object[key], slices and calls, as jinja2's immutable sandbox does them.
#include <algorithm>

#include "runtime/jinja/python/python.h"

namespace longsight::jinja {
namespace {

// object_type_repr of jinja2.
std::string described(const Value& object) {
  return object.is(Kind::none) ? "None" : fmt::format("{} object", type_name(object));
}

Value no_attribute(const Value& object, std::string_view name) {
  return undefined(fmt::format("{} has no attribute {}", quoted(described(object)), quoted(name)));
}

Value no_element(Run& run, const Value& object, const Value& key) {
  TextBuilder shown = run.builder();
  repr(run, shown, key);
  return undefined(fmt::format("{} has no element {}", described(object), shown.take().bytes));
}

bool modifies(Kind kind, std::string_view name) {
  constexpr std::string_view kList[] = {"append", "clear", "pop",    "reverse",
                                        "insert", "sort",  "extend", "remove"};
  constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (kind == Kind::list) return std::find(std::begin(kList), std::end(kList), name) != std::end(kList);
  return kind == Kind::dict && std::find(std::begin(kDict), std::end(kDict), name) != std::end(kDict);
}

// What Python has under this name, apart from elements.
std::optional<Value> own_attribute(Run& run, const Value& object, std::string_view name) {
  if (object.is(Kind::object)) return object.object().attribute(run, name);
  if (modifies(object.kind(), name)) {
    return undefined(fmt::format("access to attribute {} of {} object is unsafe.", quoted(name),
                                 quoted(type_name(object))));
  }
  if (object.is(Kind::tuple) && object.sequence().group) {
    if (name == "grouper") return object.sequence().items[0];
    if (name == "list") return object.sequence().items[1];
  }
  std::string_view kept;
  if (const Function::Body body = find_method(object.kind(), name, kept)) {
    return Value(std::shared_ptr<Object>(std::make_shared<Function>(kept, body, object)));
  }
  if (is_number(object)) {
    if (name == "real") return positive(object);
    if (name == "imag") return object.is(Kind::real) ? Value::real(0) : Value::integer(0);
    if (is_integer(object) && name == "numerator") return positive(object);
    if (is_integer(object) && name == "denominator") return Value::integer(1);
  }
  return std::nullopt;
}

// object[key] where that is something: Python's LookupError and TypeError are nothing.
std::optional<Value> element(Run& run, const Value& object, const Value& key) {
  switch (object.kind()) {
    case Kind::dict: {
      if (key.is(Kind::list) || key.is(Kind::dict)) return std::nullopt;
      const Value* found = object.dict().find(run, key);
      return found == nullptr ? std::nullopt : std::optional(*found);
    }
    case Kind::list:
    case Kind::tuple:
    case Kind::string:
    case Kind::object: {
      if (!is_integer(key)) return std::nullopt;
      if (object.is(Kind::object) && dynamic_cast<Range*>(&object.object()) == nullptr) return std::nullopt;
      const i64 size = length(run, object);
      i64 index = integer_of(key);
      if (index < 0) index += size;
      if (index < 0 || index >= size) return std::nullopt;
      if (object.is(Kind::string)) {
        const Text& text = object.text();
        run.spend_bytes(text.ascii() ? 0 : static_cast<i64>(text.bytes.size()));
        const i64 at = text.offset(index);
        Value result = text_slice(run, text, at, at + static_cast<i64>(character_at(text.bytes, at).size()));
        return result;
      }
      if (object.is(Kind::object)) {
        Value result;
        object.object().element(run, index, result);
        return result;
      }
      return object.sequence().items[static_cast<std::size_t>(index)];
    }
    default:
      return std::nullopt;
  }
}

// The indices that [start:stop:step] names of `size` elements: first, count.
struct Steps {
  i64 first = 0;
  i64 count = 0;
  i64 step = 1;
};

i64 slice_index(const Value& value, i64 otherwise) {
  if (value.is(Kind::none)) return otherwise;
  require_defined(value);
  if (!is_integer(value)) refuse("slice indices must be integers or None or have an __index__ method");
  return integer_of(value);
}

Steps steps_of(i64 size, const Value& start, const Value& stop, const Value& step) {
  Steps steps;
  steps.step = slice_index(step, 1);
  if (steps.step == 0) refuse("slice step cannot be zero");
  const bool forwards = steps.step > 0;
  const i64 lowest = forwards ? 0 : -1;
  const i64 highest = forwards ? size : size - 1;
  const auto clamp = [&](const Value& value, i64 otherwise) {
    if (value.is(Kind::none)) return otherwise;
    i64 index = slice_index(value, 0);
    if (index < 0) index = std::max(index, -size - 1) + size;
    return std::clamp(index, lowest, highest);
  };
  steps.first = clamp(start, forwards ? lowest : highest);
  const i64 behind = clamp(stop, forwards ? highest : lowest);
  const i64 distance = forwards ? behind - steps.first : steps.first - behind;
  if (distance <= 0) return steps;
  // Only one element where a step leaves the sequence; also keeps -step from overflowing.
  if (steps.step >= distance || steps.step <= -distance) {
    steps.count = 1;
  } else {
    const i64 by = forwards ? steps.step : -steps.step;
    steps.count = (distance + by - 1) / by;
  }
  return steps;
}

}  // namespace

Value attribute(Run& run, const Value& object, const Value& name) {
  require_defined(object);
  const std::string& bytes = name.text().bytes;
  if (std::optional<Value> own = own_attribute(run, object, bytes)) return *std::move(own);
  if (object.is(Kind::dict)) {
    if (const Value* member = object.dict().find(bytes)) return *member;
  }
  return no_attribute(object, bytes);
}

Value item(Run& run, const Value& object, const Value& key) {
  require_defined(object);
  if (std::optional<Value> found = element(run, object, key)) return *std::move(found);
  if (!key.is(Kind::string)) return no_element(run, object, key);
  if (std::optional<Value> own = own_attribute(run, object, key.text().bytes)) return *std::move(own);
  return no_attribute(object, key.text().bytes);
}

Value text_slice(Run& run, const Text& text, i64 begin, i64 end) {
  TextBuilder out = run.builder();
  run.spend_bytes(end - begin);
  out.add(text, begin, end);
  return out.value(false);
}

Value slice(Run& run, const Value& object, const Value& start, const Value& stop, const Value& step) {
  require_defined(object);
  const auto* range = object.is(Kind::object) ? dynamic_cast<const Range*>(&object.object()) : nullptr;
  if (!object.is(Kind::string) && !object.is(Kind::list) && !object.is(Kind::tuple) && range == nullptr) {
    refuse("'{}' object cannot be sliced", type_name(object));
  }
  const Steps steps = steps_of(length(run, object), start, stop, step);
  if (range != nullptr) {
    const i64 first = range->start + steps.first * range->step;
    const i64 by = checked_mul(range->step, steps.step);
    return Value(std::shared_ptr<Object>(std::make_shared<Range>(first, first + steps.count * by, by)));
  }
  if (!object.is(Kind::string)) {
    std::vector<Value> items;
    run.spend_room(0, steps.count);
    const std::vector<Value>& all = object.sequence().items;
    for (i64 i = 0; i < steps.count; ++i)
      items.push_back(all[static_cast<std::size_t>(steps.first + i * steps.step)]);
    return object.is(Kind::list) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
  }
  const Text& text = object.text();
  TextBuilder out = run.builder();
  run.spend_bytes(static_cast<i64>(text.bytes.size()));
  if (steps.count > 0 && steps.step == 1) {
    out.add(text, text.offset(steps.first), text.offset(steps.first + steps.count));
  } else if (steps.count > 0) {
    run.spend(steps.count);
    std::vector<i64> offsets;
    if (!text.ascii()) {
      for (i64 at = 0; at < static_cast<i64>(text.bytes.size());
           at += static_cast<i64>(character_at(text.bytes, at).size())) {
        offsets.push_back(at);
      }
    }
    for (i64 i = 0; i < steps.count; ++i) {
      const i64 index = steps.first + i * steps.step;
      const i64 at = text.ascii() ? index : offsets[static_cast<std::size_t>(index)];
      out.add(text, at, at + static_cast<i64>(character_at(text.bytes, at).size()));
    }
  }
  return out.value(text.markup);
}

Value call(Run& run, const Value& callee, Arguments&& arguments) {
  require_defined(callee);
  if (!callee.is(Kind::object) || !callee.object().callable()) {
    refuse("'{}' object is not callable", type_name(callee));
  }
  const Nested nested(run);
  run.spend(1);
  return callee.object().call(run, std::move(arguments));
}

}  // namespace longsight::jinja
