// One object of a record: each of its keys is used, known to be harmless, named by the user as one to ignore,
// or an error. Null is absent: Arrow fills in what a record does not have.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/ordered_json.h"
#include "runtime/data/records/record_keys.h"

namespace longsight::data {

using Record = OrderedJson;

// A value for a message, on one line and cut short.
std::string shown(const Record& value);

class RecordObject {
 public:
  // `where` begins all errors, which are bad_data. An object with an unknown key, or that is none, is refused
  // at once. `ignored`: keys that the user says mean nothing: they count as absent. Refers to `value` and
  // `ignored`.
  RecordObject(const Record& value, std::vector<std::string> used, const KeyTable& others,
               const std::vector<std::string>& ignored, std::string where);

  const std::string& where() const { return where_; }
  // Null: absent, or null.
  const Record* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  const Record& get(std::string_view key) const;
  const std::string& text(std::string_view key) const;
  const Record& list(std::string_view key) const;
  std::optional<std::string> optional_text(std::string_view key) const;
  std::optional<bool> optional_bool(std::string_view key) const;
  std::optional<double> optional_number(std::string_view key) const;
  std::optional<i64> optional_whole(std::string_view key) const;  // from 0 up
  const Record* optional_list(std::string_view key) const;

 private:
  [[noreturn]] void fail_unknown(const std::string& key, const KeyTable& others) const;

  const Record& value_;
  const std::vector<std::string>& ignored_;
  std::vector<std::string> used_;
  std::string where_;
};

}  // namespace longsight::data
