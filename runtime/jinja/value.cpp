#include "runtime/jinja/value.h"

#include <nlohmann/json.hpp>

#include "runtime/base/utf8.h"
#include "runtime/jinja/objects.h"
#include "runtime/jinja/text.h"

namespace longsight::jinja {

Value::Value(std::shared_ptr<const Text> text)
    : kind_(Kind::string), shared_(std::const_pointer_cast<Text>(std::move(text))) {}
Value::Value(std::shared_ptr<Dict> dict) : kind_(Kind::dict), shared_(std::move(dict)) {}
Value::Value(std::shared_ptr<Object> object) : kind_(Kind::object), shared_(std::move(object)) {}
Value::Value(std::shared_ptr<Undefined> undefined) : kind_(Kind::undefined), shared_(std::move(undefined)) {}

Value Value::boolean(bool value) {
  Value result;
  result.kind_ = Kind::boolean;
  result.scalar_.boolean = value;
  return result;
}

Value Value::integer(i64 value) {
  Value result;
  result.kind_ = Kind::integer;
  result.scalar_.integer = value;
  return result;
}

Value Value::real(double value) {
  Value result;
  result.kind_ = Kind::real;
  result.scalar_.real = value;
  return result;
}

Value Value::string(std::string text, int origin) {
  check(first_invalid_utf8(text) < 0, "a string of a template is no UTF-8");
  auto result = std::make_shared<Text>();
  result->length = count_code_points(text);
  if (origin >= 0 && !text.empty()) result->origins.push_back({0, static_cast<i64>(text.size()), origin});
  result->bytes = std::move(text);
  return Value(std::shared_ptr<const Text>(std::move(result)));
}

Value Value::list(std::vector<Value> items) {
  auto result = std::make_shared<Sequence>();
  result->height = height_above(items);
  result->items = std::move(items);
  return Value(Kind::list, std::move(result));
}

Value Value::tuple(std::vector<Value> items) {
  auto result = std::make_shared<Sequence>();
  result->height = height_above(items);
  result->items = std::move(items);
  return Value(Kind::tuple, std::move(result));
}

Value Value::object(std::vector<std::pair<std::string, Value>> members) {
  auto dict = std::make_shared<Dict>();
  for (auto& [name, value] : members) dict->set(name, std::move(value));
  return Value(std::move(dict));
}

Value Value::dict_of(std::vector<std::pair<Value, Value>> members) {
  auto dict = std::make_shared<Dict>();
  for (auto& [key, value] : members) dict->set(key, std::move(value));
  return Value(std::move(dict));
}

Value Value::of(const nlohmann::ordered_json& json) {
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return boolean(json.get<bool>());
    case nlohmann::ordered_json::value_t::number_integer:
      return integer(json.get<i64>());
    case nlohmann::ordered_json::value_t::number_unsigned: {
      const auto value = json.get<u64>();
      if (value > static_cast<u64>(INT64_MAX))
        refuse("the integer {} is beyond 64 bits: write it as a text", value);
      return integer(static_cast<i64>(value));
    }
    case nlohmann::ordered_json::value_t::number_float:
      return real(json.get<double>());
    case nlohmann::ordered_json::value_t::string:
      return string(json.get<std::string>());
    case nlohmann::ordered_json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(of(item));
      return list(std::move(items));
    }
    case nlohmann::ordered_json::value_t::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [name, member] : json.items()) dict->set(name, of(member));
      return Value(std::move(dict));
    }
    default:
      return {};
  }
}

}  // namespace longsight::jinja
