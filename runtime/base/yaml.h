// Strict YAML for configuration. Every error is one line with file:line:column and the dotted key; exit code
// usage, missing_input for a file that is not there.
//
// Refused: more than 1 MiB, 2^17 values or 2^16 brackets and commas, invalid UTF-8, nesting beyond 64,
// duplicate keys, anchors, aliases, tags, several documents, unknown keys, numbers that are not finite. Types
// are those of the fields, never guessed: a bool is `true` or `false`, an integer is decimal (017 and 0x1F
// are refused), 1e-5 is a number, NO and 12 are texts where a text is wanted.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/fields.h"

namespace longsight {

class YamlDocument {
 public:
  static YamlDocument read_file(const std::string& path);
  static YamlDocument read_text(std::string_view text, std::string name = "configuration");

  // `key.path=value` from the command line: the value is YAML and replaces what the document has there,
  // whole; `~` is as if the key were not there. A number in the path is an element of a list
  // (`rules.0.attention=images`), its length appends one. Errors name the override.
  void apply_override(std::string_view assignment);

  const FieldNode& root() const { return root_; }

  // "configs/x.yaml:12:3", or "command line: train.steps=5".
  std::string text_of(Place place) const;
  // Where the value of a dotted key was written; for one that is not there (a default), where its enclosing
  // mapping begins.
  std::string place_of(std::string_view key) const;

  // For the owner of a struct, who knows more than types: "train.optimizer.lr: <text> (configs/x.yaml:12:3)".
  template <class... A>
  [[noreturn]] void fail_at(std::string_view key, fmt::format_string<A...> text, A&&... values) const {
    fail_with(key, fmt::format(text, std::forward<A>(values)...));
  }
  template <class... A>
  void require_at(bool ok, std::string_view key, fmt::format_string<A...> text, A&&... values) const {
    if (!ok) fail_with(key, fmt::format(text, std::forward<A>(values)...));
  }
  // A text field that is one of a few words.
  void require_one_of(std::string_view key, const std::string& value,
                      const std::vector<std::string>& choices) const;

 private:
  [[noreturn]] void fail_with(std::string_view key, const std::string& message) const;

  FieldNode root_;
  std::vector<std::string> sources_;  // name of the file, then the overrides as given
};

namespace detail {

// One value about to be read: where it stands, and what to say if it is not what it must be.
class FieldReader {
 public:
  FieldReader(const YamlDocument& document, const FieldNode& node, std::string key, bool or_auto = false)
      : document_(document), node_(node), key_(std::move(key)), or_auto_(or_auto) {}

  template <class T>
  void read(T& into) const {
    if constexpr (HasFields<T>) {
      read_struct(into);
    } else if constexpr (FieldType<T>::vector) {
      expect_list();
      T items;
      for (std::size_t i = 0; i < node_.items.size(); ++i) {
        typename T::value_type item{};
        FieldReader(document_, node_.items[i], join(fmt::format("{}", i))).read(item);
        items.push_back(std::move(item));
      }
      into = std::move(items);
    } else if constexpr (FieldType<T>::map) {
      expect_map();
      into.clear();
      for (std::size_t i = 0; i < node_.items.size(); ++i) {
        if (node_.items[i].is_unset()) continue;
        FieldReader(document_, node_.items[i], join(node_.keys[i])).read(into[node_.keys[i]]);
      }
    } else if constexpr (FieldType<T>::optional) {
      if (node_.kind == FieldNode::Kind::none) {
        into.reset();
      } else {
        read(into.emplace());
      }
    } else if constexpr (FieldType<T>::or_auto) {
      if (node_.kind == FieldNode::Kind::word && node_.scalar == "auto") {
        into.value.reset();
      } else {
        FieldReader(document_, node_, key_, true).read(into.value.emplace());
      }
    } else if constexpr (std::is_same_v<T, bool>) {
      into = boolean();
    } else if constexpr (std::is_same_v<T, std::string>) {
      into = text();
    } else if constexpr (std::is_same_v<T, double>) {
      into = number();
    } else if constexpr (std::is_unsigned_v<T>) {
      into = static_cast<T>(unsigned_integer(std::numeric_limits<T>::max()));
    } else {
      static_assert(std::is_integral_v<T>, "not a type that a field can have");
      into = static_cast<T>(integer(std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
    }
  }

 private:
  // Of what holds text, a list or a mapping, and has none by default.
  template <class T>
  static bool is_empty(const T& member) {
    if constexpr (std::is_same_v<T, std::string> || FieldType<T>::vector || FieldType<T>::map)
      return member.empty();
    return false;
  }

  template <class C>
  void read_struct(C& into) const {
    // An empty file is a mapping without keys; `train:` with nothing behind it is more likely a mistake.
    if (!(key_.empty() && node_.kind == FieldNode::Kind::none)) expect_map();
    std::vector<std::string> names;
    C::fields(into, [&](const char* name, auto&) { names.emplace_back(name); });
    refuse_unknown(names);
    C::fields(into, [&](const char* name, auto& member) {
      const FieldNode* found = node_.find(name);
      // Null is absent where a value can be absent, and wherever the command line says so.
      if (!found || found->is_unset() || (found->kind == FieldNode::Kind::none && is_empty(member))) return;
      FieldReader(document_, *found, join(name)).read(member);
    });
  }

  bool boolean() const;
  i64 integer(i64 least, i64 most) const;
  u64 unsigned_integer(u64 most) const;
  double number() const;
  std::string text() const;
  void expect_list() const;
  void expect_map() const;
  void refuse_unknown(const std::vector<std::string>& names) const;
  std::string join(const std::string& name) const { return key_.empty() ? name : key_ + "." + name; }
  [[noreturn]] void fail_expected(std::string_view what) const;
  [[noreturn]] void fail_here(const std::string& message) const;

  const YamlDocument& document_;
  const FieldNode& node_;
  std::string key_;
  bool or_auto_;
};

}  // namespace detail

// Sets the fields that the document mentions, and leaves the others at their defaults.
template <detail::HasFields C>
void read_fields(const YamlDocument& document, C& into) {
  detail::FieldReader(document, document.root(), "").read(into);
}

}  // namespace longsight
