#include "runtime/jinja/python/python.h"

namespace longsight::jinja {

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return value.text().markup ? "Markup" : "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::dict:
      return "dict";
    case Kind::object:
      return value.object().type();
  }
  return "";
}

bool truth(Run&, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.as_bool();
    case Kind::integer:
      return value.as_integer() != 0;
    case Kind::real:
      return value.as_real() != 0;
    case Kind::string:
      return !value.text().bytes.empty();
    case Kind::list:
    case Kind::tuple:
      return !value.sequence().items.empty();
    case Kind::dict:
      return !value.dict().items.empty();
    case Kind::object:
      return value.object().length() != 0;  // what has no length is true
  }
  return false;
}

bool is_number(const Value& value) {
  return value.is(Kind::real) || is_integer(value);
}
bool is_integer(const Value& value) {
  return value.is(Kind::integer) || value.is(Kind::boolean);
}
i64 integer_of(const Value& value) {
  return value.is(Kind::boolean) ? i64{value.as_bool()} : value.as_integer();
}
double real_of(const Value& value) {
  return value.is(Kind::real) ? value.as_real() : static_cast<double>(integer_of(value));
}

void require_defined(const Value& value) {
  if (value.is(Kind::undefined)) refuse("{}", value.undefined().message);
}

void require_hashable(const Value& value) {
  if (value.is(Kind::list) || value.is(Kind::dict)) refuse("unhashable type: '{}'", type_name(value));
  if (value.is(Kind::tuple)) {
    for (const Value& each : value.sequence().items) require_hashable(each);
  }
}

const Text& require_string(const Value& value, std::string_view what) {
  require_defined(value);
  if (!value.is(Kind::string)) refuse("{} must be str, not {}", what, type_name(value));
  return value.text();
}

i64 require_integer(const Value& value, std::string_view what) {
  require_defined(value);
  if (!is_integer(value)) refuse("{} must be int, not {}", what, type_name(value));
  return integer_of(value);
}

}  // namespace longsight::jinja
