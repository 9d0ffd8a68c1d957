#include "runtime/data/records/record_object.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/json.h"
#include "runtime/base/shorten.h"
#include "runtime/base/suggest.h"

namespace longsight::data {
namespace {

template <class List, class T>
bool has_one(const List& list, const T& value) {
  return std::find(std::begin(list), std::end(list), value) != std::end(list);
}

[[noreturn]] void fail_expected(const RecordObject& object, std::string_view key, const char* what,
                                const Record& value) {
  fail(ExitCode::bad_data, "{}: \"{}\": expected {}, got {}", object.where(), shortened(key), what,
       shown(value));
}

}  // namespace

std::string shown(const Record& value) {
  if (value.is_object()) return "an object";
  if (value.is_array() && value.size() > 8) return "a list";
  return shortened(json_text(value));
}

RecordObject::RecordObject(const Record& value, std::vector<std::string> used, const KeyTable& others,
                           const std::vector<std::string>& ignored, std::string where)
    : value_(value), ignored_(ignored), used_(std::move(used)), where_(std::move(where)) {
  require(value.is_object(), ExitCode::bad_data, "{}: expected an object, got {}", where_, shown(value));
  for (const auto& [key, member] : value.items()) {
    if (member.is_null() || has_one(used_, key) || has_one(others.harmless, key) || has_one(ignored, key))
      continue;
    fail_unknown(key, others);
  }
}

void RecordObject::fail_unknown(const std::string& key, const KeyTable& others) const {
  for (const RefusedKey& refused : others.refused)
    require(refused.key != key, ExitCode::bad_data, "{}: \"{}\" is not supported: {}", where_, key,
            refused.remedy);
  fail(ExitCode::bad_data, "{}: unknown key \"{}\"{}", where_, shortened(key), did_you_mean(key, used_));
}

const Record* RecordObject::find(std::string_view key) const {
  const auto found = value_.find(key);
  if (found == value_.end() || found->is_null() || has_one(ignored_, key)) return nullptr;
  return &*found;
}

const Record& RecordObject::get(std::string_view key) const {
  if (const Record* found = find(key)) return *found;
  fail(ExitCode::bad_data, "{}: no \"{}\"", where_, shortened(key));
}

const std::string& RecordObject::text(std::string_view key) const {
  const Record& value = get(key);
  if (!value.is_string()) fail_expected(*this, key, "a string", value);
  return value.get_ref<const std::string&>();
}

const Record& RecordObject::list(std::string_view key) const {
  const Record& value = get(key);
  if (!value.is_array()) fail_expected(*this, key, "a list", value);
  return value;
}

std::optional<std::string> RecordObject::optional_text(std::string_view key) const {
  return has(key) ? std::optional(text(key)) : std::nullopt;
}

std::optional<bool> RecordObject::optional_bool(std::string_view key) const {
  const Record* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) fail_expected(*this, key, "true or false", *value);
  return value->get<bool>();
}

std::optional<double> RecordObject::optional_number(std::string_view key) const {
  const Record* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) fail_expected(*this, key, "a number", *value);
  return value->get<double>();
}

std::optional<i64> RecordObject::optional_whole(std::string_view key) const {
  const Record* value = find(key);
  if (value == nullptr) return std::nullopt;
  // Arrow and pandas write a column of whole numbers with gaps as floating point: 3.0 is 3.
  constexpr double kExact = 9007199254740992.0;
  if (value->is_number_float()) {
    const double number = value->get<double>();
    if (number >= 0 && number <= kExact && number == std::floor(number)) return static_cast<i64>(number);
  } else if (value->is_number_unsigned() && value->get<u64>() <= u64{1} << 53) {
    return static_cast<i64>(value->get<u64>());
  }
  fail_expected(*this, key, "a whole number", *value);
}

const Record* RecordObject::optional_list(std::string_view key) const {
  return has(key) ? &list(key) : nullptr;
}

}  // namespace longsight::data
