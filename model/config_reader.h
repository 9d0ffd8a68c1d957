// Reads a Hugging Face config.json key by key: absent keys take the class default, null counts as absent, and
// what was never asked for is listed, so that no key is dropped without a word.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::model {

class ConfigReader {
 public:
  // `where` names the file and the object in errors: "model/config.json: text_config".
  ConfigReader(const nlohmann::json& object, std::string where);

  bool has(const std::string& key) const;  // present and not null
  i64 integer(const std::string& key, i64 fallback);
  double number(const std::string& key, double fallback);
  bool boolean(const std::string& key, bool fallback);
  std::string text(const std::string& key, const std::string& fallback);
  ConfigReader object(const std::string& key);  // an absent key reads as an empty object
  const nlohmann::json* raw(const std::string& key);

  // The key may only have this value (or be absent): options that change the computation and are not
  // supported.
  void refuse_unless(const std::string& key, const nlohmann::json& only, const std::string& reason);
  i64 positive(const std::string& key, i64 fallback);  // at least 1, and small enough for products of two
  // A token's id: of the first of the keys that is there, else the fallback; below `vocab`.
  i64 token_id(std::initializer_list<const char*> keys, i64 fallback, i64 vocab);
  // An edge length, given as a number or as [height, width] with equal ones.
  i64 square(const std::string& key, i64 fallback);
  bool is_null(const std::string& key) const;  // present, and null

  void ignore(std::initializer_list<const char*> keys);  // known not to change the computation
  std::vector<std::string> unread() const;               // dotted names of keys that nobody asked for

  // Dropout is reported, not applied.
  void note_dropout(const std::string& key, std::vector<std::string>& warnings);
  // Unread keys as warnings: carried over, without effect.
  void note_unread(std::vector<std::string>& warnings) const;

  const std::string& where() const { return where_; }

 private:
  const nlohmann::json* find(const std::string& key);
  template <class T>
  [[noreturn]] void wrong_type(const std::string& key, const T& expected) const;

  nlohmann::json object_;
  std::string where_;
  std::set<std::string> seen_;
};

}  // namespace longsight::model
