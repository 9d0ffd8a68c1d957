// Passes over values, and their lengths.
#include "runtime/jinja/python/python.h"

namespace longsight::jinja {

bool iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::none:
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
      return false;
    case Kind::object:
      return value.object().iterable();
    default:
      return true;
  }
}

Cursor::Cursor(Run&, Value source) : source_(std::move(source)) {
  if (!iterable(source_)) refuse("'{}' object is not iterable", type_name(source_));
}

bool Cursor::next(Run& run, Value& out) {
  run.spend(1);
  switch (source_.kind()) {
    case Kind::list:
    case Kind::tuple: {
      const std::vector<Value>& items = source_.sequence().items;
      if (at_ >= static_cast<i64>(items.size())) return false;
      out = items[static_cast<std::size_t>(at_++)];
      return true;
    }
    case Kind::dict: {
      const auto& items = source_.dict().items;
      if (at_ >= static_cast<i64>(items.size())) return false;
      out = items[static_cast<std::size_t>(at_++)].first;
      return true;
    }
    case Kind::string: {
      const Text& text = source_.text();
      if (at_ >= static_cast<i64>(text.bytes.size())) return false;
      const i64 end = at_ + static_cast<i64>(character_at(text.bytes, at_).size());
      out = text_slice(run, text, at_, end);
      at_ = end;
      return true;
    }
    case Kind::object:
      return source_.object().element(run, at_++, out);
    default:
      return false;
  }
}

std::vector<Value> elements(Run& run, const Value& value) {
  if (value.is(Kind::list) || value.is(Kind::tuple)) {
    run.spend_room(0, length(run, value));
    return value.sequence().items;
  }
  std::vector<Value> result;
  Cursor cursor(run, value);
  Value each;
  while (cursor.next(run, each)) {
    run.spend_room(result.size());
    result.push_back(each);
  }
  return result;
}

i64 length(Run&, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return value.text().length;
    case Kind::list:
    case Kind::tuple:
      return static_cast<i64>(value.sequence().items.size());
    case Kind::dict:
      return static_cast<i64>(value.dict().items.size());
    case Kind::object:
      if (const i64 there = value.object().length(); there >= 0) return there;
      [[fallthrough]];
    default:
      refuse("object of type '{}' has no len()", type_name(value));
  }
}

Value iterator(Iterator::Pull pull, int elements_height, std::string_view type) {
  return Value(std::shared_ptr<Object>(std::make_shared<Iterator>(std::move(pull), elements_height, type)));
}

}  // namespace longsight::jinja
