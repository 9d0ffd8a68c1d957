// Reads a Hugging Face config.json key by key: absent keys take the default of the configuration class (see
// assume), null counts as absent, and what was never asked for is listed, so that no key is dropped without a
// word.
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

  // What a class has for keys that are absent, or null: its keys with their values, null for those that it
  // derives from others. Of two calls the later one counts.
  void assume(const nlohmann::json& class_defaults) { defaults_.update(class_defaults); }

  bool has(const std::string& key) const;  // present in the file and not null
  // Of the file, else of the class. A key that neither has is an internal error.
  i64 integer(const std::string& key);
  double number(const std::string& key);
  bool boolean(const std::string& key);
  std::string text(const std::string& key);
  i64 positive(const std::string& key);  // at least 1, and small enough for products of two
  // An edge length, given as a number or as [height, width] with equal ones.
  i64 square(const std::string& key);
  // The same with a value for keys that neither has.
  i64 integer(const std::string& key, i64 fallback);
  double number(const std::string& key, double fallback);
  bool boolean(const std::string& key, bool fallback);
  std::string text(const std::string& key, const std::string& fallback);
  i64 positive(const std::string& key, i64 fallback);
  const nlohmann::json* raw(const std::string& key);  // null where neither has it

  // "rope_scaling", where it says anything, else "rope_parameters": in this order transformers 5 takes what
  // older versions and itself write; what the other one says does not count. Both count as read.
  std::string rope_key();
  // An absent key reads as `absent`.
  ConfigReader object(const std::string& key, const nlohmann::json& absent = nlohmann::json::object());

  // The key may only have this value (or be absent): options that change the computation and are not
  // supported.
  void refuse_unless(const std::string& key, const nlohmann::json& only, const std::string& reason);
  // A token's id: of the first of the keys that the file has, else of the class; below `vocab`.
  i64 token_id(std::initializer_list<const char*> keys, i64 vocab);
  bool is_null(const std::string& key) const;  // present, and null

  void ignore(std::initializer_list<const char*> keys);  // known not to change the computation
  std::vector<std::string> unread() const;               // dotted names of keys that nobody asked for

  // Dropout is reported, not applied.
  void note_dropout(const std::string& key, std::vector<std::string>& warnings);
  // Refuses what transformers acts on in the configuration of any model, if it says anything.
  void refuse_other_computations();
  // That, and what is unread then as warnings: carried over, without effect.
  void note_unread(std::vector<std::string>& warnings);

  const std::string& where() const { return where_; }

 private:
  const nlohmann::json* find(const std::string& key);  // of the file, else of the class; null: neither
  const nlohmann::json& known(const std::string& key) const;
  template <class T>
  [[noreturn]] void wrong_type(const std::string& key, const T& expected) const;

  nlohmann::json object_;
  nlohmann::json defaults_ = nlohmann::json::object();
  std::string where_;
  std::set<std::string> seen_;
};

}  // namespace longsight::model
