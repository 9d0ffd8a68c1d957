// What the readers of the parts of a tokenizer.json share. A part is an object with a `type`, or null.
#pragma once

#include <string>

#include "runtime/base/error.h"
#include "runtime/base/json.h"

namespace longsight::data {

// The value of `key`, or nothing where it is absent or null.
inline const Json* present(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// The value of `key`; null where it is absent, or where there is no object. (Json::value throws of its own.)
inline Json member_of(const Json& object, const std::string& key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found == object.end() ? Json() : *found;
}

inline bool flag(const Json& object, const char* key, bool otherwise, const std::string& where) {
  const Json* value = present(object, key);
  if (value == nullptr) return otherwise;
  require(value->is_boolean(), ExitCode::bad_data, "{}: {} is {}, not true or false", where, key,
          value->dump());
  return value->get<bool>();
}

inline std::string text_member(const Json& object, const char* key, const std::string& where) {
  const Json* value = present(object, key);
  require(value != nullptr && value->is_string(), ExitCode::bad_data, "{}: {} has no text {}", where,
          object.dump(), key);
  return value->get<std::string>();
}

inline std::string type_of(const Json& part, const std::string& where) {
  require(part.is_object() && present(part, "type") != nullptr, ExitCode::bad_data, "{}: {} has no type",
          where, part.dump());
  return text_member(part, "type", where);
}

// The members of a part of type Sequence; `key` is what its list is called.
inline const Json& members_of(const Json& part, const char* key, const std::string& where) {
  const Json* members = present(part, key);
  require(members != nullptr && members->is_array(), ExitCode::bad_data, "{}: Sequence without a list of {}",
          where, key);
  return *members;
}

// {"String": ..} in the member `pattern`; what is a regular expression is refused.
inline std::string string_pattern(const Json& part, const std::string& where) {
  const Json* pattern = present(part, "pattern");
  require(pattern != nullptr && pattern->is_object() && pattern->contains("String"), ExitCode::bad_data,
          "{}: {} with the pattern {} is not supported, only with a String", where, type_of(part, where),
          pattern == nullptr ? "null" : pattern->dump());
  const std::string text = text_member(*pattern, "String", where);
  require(!text.empty(), ExitCode::bad_data, "{}: {} of an empty String", where, type_of(part, where));
  return text;
}

}  // namespace longsight::data
