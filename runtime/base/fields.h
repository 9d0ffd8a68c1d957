// A struct that lists its fields once; reading (yaml.h), printing, comparing and hashing follow from the
// list:
//
//   struct Optimizer {
//     double lr = 1e-3;
//     OrAuto<i64> warmup;
//     template <class S, class V> static void fields(S& self, V&& visit) {
//       visit("lr", self.lr);
//       visit("warmup", self.warmup);
//     }
//   };
//
// A field is a bool, int, i64, u64, double, std::string or a struct with fields, or std::vector,
// std::optional, OrAuto or std::map<std::string, ...> of these.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "runtime/base/number.h"

namespace longsight {

// A value, or the word `auto`: the program decides.
template <class T>
struct OrAuto {
  std::optional<T> value;  // none: auto

  OrAuto() = default;
  OrAuto(T given) : value(std::move(given)) {}  // NOLINT: implicit, a value is written as such
  bool is_auto() const { return !value.has_value(); }
  T value_or(T decided) const { return value.value_or(std::move(decided)); }
  friend bool operator==(const OrAuto&, const OrAuto&) = default;
};

// Where in its source a piece of configuration stands; line and column count from 1.
struct Place {
  int source = 0;  // of a YamlDocument: 0 the file, then the overrides
  int line = 0;    // 0: nowhere
  int column = 0;
};

// A tree of lists and mappings: what a YAML text says, or what the fields of a struct hold.
struct FieldNode {
  enum class Kind {
    none,  // nothing, null, ~
    word,  // plain: 12, true, auto, cosine
    text,  // quoted
    list,
    map,
  };
  Kind kind = Kind::none;
  std::string scalar{};             // of a word or text
  std::vector<FieldNode> items{};   // of a list; the values of a map
  std::vector<std::string> keys{};  // of a map, in the order written
  std::vector<Place> key_places{};
  Place place{};

  // Said to be absent, by `~` on the command line: not a key of a file with nothing behind it, and not
  // `key=`.
  bool is_unset() const { return kind == Kind::none && place.source > 0 && place.line > 0; }
  bool is_scalar() const { return kind == Kind::word || kind == Kind::text; }
  const FieldNode* find(const std::string& key) const;  // null: a map has no such key
  FieldNode* find(const std::string& key);
  FieldNode& add(std::string key, FieldNode value, Place key_place = {});
};

namespace detail {

struct AnyVisit {
  template <class M>
  void operator()(const char*, M&) const {}
};
template <class T>
concept HasFields = requires(T& value) {
  T::fields(value, AnyVisit{});
};

template <class T>
struct FieldType {
  static constexpr bool vector = false, optional = false, or_auto = false, map = false;
};
template <class T>
struct FieldType<std::vector<T>> {
  static constexpr bool vector = true, optional = false, or_auto = false, map = false;
};
template <class T>
struct FieldType<std::optional<T>> {
  static constexpr bool vector = false, optional = true, or_auto = false, map = false;
};
template <class T>
struct FieldType<OrAuto<T>> {
  static constexpr bool vector = false, optional = false, or_auto = true, map = false;
};
template <class T>
struct FieldType<std::map<std::string, T>> {
  static constexpr bool vector = false, optional = false, or_auto = false, map = true;
};

FieldNode word_node(std::string word);
FieldNode text_node(std::string text);
FieldNode number_node(
    double value);  // the shortest text that reads back as the same number; throws unless finite

template <class T>
FieldNode to_node(const T& value) {
  if constexpr (HasFields<T>) {
    FieldNode node{.kind = FieldNode::Kind::map};
    T::fields(value, [&](const char* name, const auto& member) { node.add(name, to_node(member)); });
    return node;
  } else if constexpr (FieldType<T>::vector) {
    FieldNode node{.kind = FieldNode::Kind::list};
    for (std::size_t i = 0; i < value.size(); ++i) {
      node.items.push_back(
          to_node<typename T::value_type>(value[i]));  // by name: vector<bool> has no element to refer to
    }
    return node;
  } else if constexpr (FieldType<T>::map) {
    FieldNode node{.kind = FieldNode::Kind::map};
    for (const auto& [key, item] : value) node.add(key, to_node(item));
    return node;
  } else if constexpr (FieldType<T>::optional) {
    return value ? to_node(*value) : FieldNode{};
  } else if constexpr (FieldType<T>::or_auto) {
    return value.value ? to_node(*value.value) : word_node("auto");
  } else if constexpr (std::is_same_v<T, bool>) {
    return word_node(value ? "true" : "false");
  } else if constexpr (std::is_same_v<T, std::string>) {
    return text_node(value);
  } else if constexpr (std::is_integral_v<T>) {
    return word_node(fmt::format("{}", value));
  } else {
    static_assert(std::is_same_v<T, double>, "not a type that a field can have");
    return number_node(value);
  }
}

}  // namespace detail

// YAML that reads back as the same tree; fields in the order listed.
std::string to_yaml(const FieldNode& node);

template <detail::HasFields C>
std::string to_yaml(const C& config) {
  return to_yaml(detail::to_node(config));
}

// XXH3 of every name and value: equal for equal configurations, on every machine.
u64 fingerprint(const FieldNode& node);

template <detail::HasFields C>
u64 fingerprint(const C& config) {
  return fingerprint(detail::to_node(config));
}

struct FieldDifference {
  std::string key;          // dotted: "train.optimizer.lr", "rules.0.attention"
  std::string left, right;  // as in YAML; empty: only the other side has it
  friend bool operator==(const FieldDifference&, const FieldDifference&) = default;
};

// In the order of the fields; empty if all values are equal.
std::vector<FieldDifference> differences(const FieldNode& left, const FieldNode& right);

template <detail::HasFields C>
std::vector<FieldDifference> differences(const C& left, const C& right) {
  return differences(detail::to_node(left), detail::to_node(right));
}

template <detail::HasFields C>
bool same_fields(const C& left, const C& right) {
  return differences(left, right).empty();
}

}  // namespace longsight
