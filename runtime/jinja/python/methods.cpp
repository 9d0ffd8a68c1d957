// The methods of dict, list, tuple, int and float that change nothing.
#include <cmath>

#include "runtime/jinja/python/parameters.h"

namespace longsight::jinja {
namespace {

Value get(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("get", std::move(arguments), {"/key", "/default"}, 1);
  const Value* found = self.dict().find(run, given[0]);
  return found != nullptr ? *found : given.value(1);
}

template <DictView::Of kOf>
Value view(Run&, const Value& self, Arguments&& arguments) {
  const Parameters given("the method", std::move(arguments), {});
  return Value(std::shared_ptr<Object>(std::make_shared<DictView>(self, kOf)));
}

Value copy(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("copy", std::move(arguments), {});
  run.spend(length(run, self));
  return self;  // nothing can change it
}

Value fromkeys(Run& run, const Value&, Arguments&& arguments) {
  const Parameters given("fromkeys", std::move(arguments), {"/iterable", "/value"}, 1);
  auto dict = std::make_shared<Dict>();
  Cursor cursor(run, given[0]);
  Value key;
  while (cursor.next(run, key)) dict->set(run, key, given.value(1));
  return Value(std::move(dict));
}

Value count_items(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("count", std::move(arguments), {"/value"}, 1);
  i64 result = 0;
  for (const Value& each : self.sequence().items)
    result += same(each, given[0]) || equal(run, each, given[0]);
  return Value::integer(result);
}

Value index(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("index", std::move(arguments), {"/value", "/start", "/stop"}, 1);
  const std::vector<Value>& items = self.sequence().items;
  const auto size = static_cast<i64>(items.size());
  const auto bound = [&](i64 value) {
    return value < 0 ? std::max(value + size, i64{0}) : std::min(value, size);
  };
  const i64 stop = bound(given.integer(2, size));
  for (i64 i = bound(given.integer(1, 0)); i < stop; ++i) {
    const Value& each = items[static_cast<std::size_t>(i)];
    if (same(each, given[0]) || equal(run, each, given[0])) return Value::integer(i);
  }
  refuse("the value is not in the {}", type_name(self));
}

Value is_integer_method(Run&, const Value& self, Arguments&& arguments) {
  const Parameters given("is_integer", std::move(arguments), {});
  return Value::boolean(std::isfinite(self.as_real()) && std::floor(self.as_real()) == self.as_real());
}

Value bit_length(Run&, const Value& self, Arguments&& arguments) {
  const Parameters given("bit_length", std::move(arguments), {});
  const i64 value = integer_of(self);
  auto magnitude = value < 0 ? 0 - static_cast<u64>(value) : static_cast<u64>(value);
  i64 bits = 0;
  for (; magnitude != 0; magnitude >>= 1) ++bits;
  return Value::integer(bits);
}

struct Method {
  Kind kind;
  std::string_view name;
  Function::Body body;
};

constexpr Method kMethods[] = {
    {Kind::dict, "get", get},
    {Kind::dict, "items", view<DictView::Of::items>},
    {Kind::dict, "keys", view<DictView::Of::keys>},
    {Kind::dict, "values", view<DictView::Of::values>},
    {Kind::dict, "copy", copy},
    {Kind::dict, "fromkeys", fromkeys},
    {Kind::list, "count", count_items},
    {Kind::list, "index", index},
    {Kind::list, "copy", copy},
    {Kind::tuple, "count", count_items},
    {Kind::tuple, "index", index},
    {Kind::real, "is_integer", is_integer_method},
    {Kind::integer, "bit_length", bit_length},
    {Kind::boolean, "bit_length", bit_length},
};

}  // namespace

Function::Body find_method(Kind kind, std::string_view name, std::string_view& kept_name) {
  if (kind == Kind::string) return find_string_method(name, kept_name);
  for (const Method& method : kMethods) {
    if (method.kind == kind && method.name == name) {
      kept_name = method.name;
      return method.body;
    }
  }
  return nullptr;
}

}  // namespace longsight::jinja
