// ==, <, in and `is`.
#include <algorithm>

#include "runtime/jinja/python/python.h"

namespace longsight::jinja {
namespace {

// Exact: 64 bits of mantissa hold every i64 and every double.
long double exact(const Value& number) {
  return number.is(Kind::real) ? static_cast<long double>(number.as_real())
                               : static_cast<long double>(integer_of(number));
}

bool equal_sequences(Run& run, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!same(a[i], b[i]) && !equal(run, a[i], b[i])) return false;
  }
  return true;
}

bool equal_objects(const Value& a, const Value& b) {
  if (a.identity() == b.identity()) return true;
  const auto* range = dynamic_cast<const Range*>(&a.object());
  const auto* other = dynamic_cast<const Range*>(&b.object());
  if (range == nullptr || other == nullptr || range->length() != other->length()) return false;
  if (range->length() == 0) return true;
  return range->start == other->start && (range->length() == 1 || range->step == other->step);
}

[[noreturn]] void unordered(const Value& a, const Value& b, std::string_view how) {
  require_defined(a);
  require_defined(b);
  refuse("'{}' not supported between instances of '{}' and '{}'", how, type_name(a), type_name(b));
}

// Of two numbers, strings, lists or tuples.
bool ordered(Run& run, Comparison how, const Value& a, const Value& b) {
  const Nested nested(run);
  run.spend(1);
  const auto decide = [how](const auto& x, const auto& y) {
    switch (how) {
      case Comparison::lt:
        return x < y;
      case Comparison::le:
        return x <= y;
      case Comparison::gt:
        return x > y;
      default:
        return x >= y;
    }
  };
  if (is_number(a) && is_number(b)) return decide(exact(a), exact(b));
  // The bytes of UTF-8 are in the order of the code points.
  if (a.is(Kind::string) && b.is(Kind::string)) return decide(a.text().bytes, b.text().bytes);
  if ((a.is(Kind::list) && b.is(Kind::list)) || (a.is(Kind::tuple) && b.is(Kind::tuple))) {
    const std::vector<Value>& x = a.sequence().items;
    const std::vector<Value>& y = b.sequence().items;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!same(x[i], y[i]) && !equal(run, x[i], y[i])) return ordered(run, how, x[i], y[i]);
    }
    return decide(x.size(), y.size());
  }
  unordered(a, b,
            how == Comparison::lt   ? "<"
            : how == Comparison::le ? "<="
            : how == Comparison::gt ? ">"
                                    : ">=");
}

}  // namespace

bool same(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::none:
      return true;
    case Kind::boolean:
      return a.as_bool() == b.as_bool();
    // Which equal numbers and strings are the same object is an accident of CPython; small integers are.
    case Kind::integer:
      return a.as_integer() == b.as_integer();
    case Kind::real:
      return false;
    default:
      return a.identity() == b.identity();
  }
}

bool equal(Run& run, const Value& a, const Value& b) {
  run.spend(1);
  if (is_number(a) && is_number(b)) return exact(a) == exact(b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::string:
      return a.text().bytes == b.text().bytes;
    case Kind::list:
    case Kind::tuple: {
      const Nested nested(run);
      return equal_sequences(run, a.sequence().items, b.sequence().items);
    }
    case Kind::dict: {
      const Nested nested(run);
      if (a.dict().items.size() != b.dict().items.size()) return false;
      for (const auto& [name, member] : a.dict().items) {
        const Value* other = b.dict().find(run, name);
        if (other == nullptr || (!same(member, *other) && !equal(run, member, *other))) return false;
      }
      return true;
    }
    case Kind::object:
      return equal_objects(a, b);
    default:
      return true;  // None, undefined
  }
}

bool less(Run& run, const Value& a, const Value& b) {
  return ordered(run, Comparison::lt, a, b);
}

bool contains(Run& run, const Value& container, const Value& element) {
  if (container.is(Kind::string)) {
    require_defined(element);
    if (!element.is(Kind::string)) {
      refuse("'in <string>' requires string as left operand, not {}", type_name(element));
    }
    run.spend_bytes(static_cast<i64>(container.text().bytes.size()));
    return container.text().bytes.find(element.text().bytes) != std::string::npos;
  }
  if (container.is(Kind::dict)) return container.dict().find(run, element) != nullptr;
  if (!iterable(container)) refuse("argument of type '{}' is not iterable", type_name(container));
  Cursor cursor(run, container);
  Value each;
  while (cursor.next(run, each)) {
    if (same(each, element) || equal(run, each, element)) return true;
  }
  return false;
}

bool compare(Run& run, Comparison how, const Value& a, const Value& b) {
  switch (how) {
    case Comparison::eq:
      return equal(run, a, b);
    case Comparison::ne:
      return !equal(run, a, b);
    case Comparison::in:
      return contains(run, b, a);
    case Comparison::not_in:
      return !contains(run, b, a);
    default:
      return ordered(run, how, a, b);
  }
}

}  // namespace longsight::jinja
