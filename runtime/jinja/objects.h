// What lies behind values that are no scalars.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/jinja/run.h"
#include "runtime/jinja/value.h"

namespace longsight::jinja {

// How many containers lie inside of each other; refused beyond 500, so that nothing that walks over a value,
// its destructor included, runs out of stack.
int height(const Value& value);
int height_above(const std::vector<Value>& items);
int checked_height(int height);

struct Sequence {
  std::vector<Value> items;
  int height = 1;
  bool group = false;  // a tuple of `groupby`: has .grouper and .list
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in the order of insertion
  int height = 1;

  const Value* find(Run& run, const Value& key) const;  // refuses keys that cannot be one (lists, dicts)
  const Value* find(std::string_view key) const;
  void set(Run& run, const Value& key, Value value);
  void set(std::string_view key, Value value);
  void set(const Value& string_key, Value value);  // the key as it is, with its origins
  void clear() {
    index_.clear();
    items.clear();
  }

 private:
  i64 position(std::string_view key) const;
  void added();
  std::unordered_map<std::string_view, std::size_t> index_;  // of string keys, once there are many
};

struct Undefined {
  std::string message;  // of the error, if it is used
};
Value undefined(std::string message);

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

int height(const Arguments& arguments);  // of the highest of them; 0: there is none

struct Object {
  virtual ~Object() = default;
  virtual std::string_view type() const = 0;
  virtual std::optional<Value> attribute(Run&, std::string_view) { return std::nullopt; }
  virtual bool callable() const { return false; }
  virtual Value call(Run&, Arguments&&) { refuse("'{}' object is not callable", type()); }
  virtual bool iterable() const { return false; }
  // Element `index` of a pass (counted from 0), or false behind the last. An iterator has only one pass.
  virtual bool element(Run&, i64 /*index*/, Value&) { return false; }
  virtual i64 length() const { return -1; }  // none
  virtual void clear() {}                    // forgets what may refer to this object

  int height = 1;
};

// A function of the language, or a method with the value that it belongs to.
struct Function : Object {
  using Body = Value (*)(Run&, const Value& self, Arguments&&);
  Function(std::string_view function_name, Body function_body, Value function_self = {})
      : name(function_name), body(function_body), self(std::move(function_self)) {
    height = checked_height(1 + jinja::height(self));
  }
  std::string_view type() const override { return "builtin_function_or_method"; }
  bool callable() const override { return true; }
  Value call(Run& run, Arguments&& arguments) override { return body(run, self, std::move(arguments)); }

  std::string_view name;
  Body body;
  Value self;
};

// What map, select, items, .. give: elements made when they are asked for, once.
struct Iterator : Object {
  using Pull = std::function<bool(Run&, Value&)>;
  Iterator(Pull next, int elements_height, std::string_view name = "generator")
      : pull(std::move(next)), type_name(name) {
    height = checked_height(1 + elements_height);
  }
  std::string_view type() const override { return type_name; }
  bool iterable() const override { return true; }
  bool element(Run& run, i64, Value& out) override;

  Pull pull;
  std::string_view type_name;
};

struct Range : Object {
  Range(i64 first, i64 behind, i64 by) : start(first), stop(behind), step(by) {}
  std::string_view type() const override { return "range"; }
  std::optional<Value> attribute(Run& run, std::string_view name) override;
  bool iterable() const override { return true; }
  bool element(Run&, i64 index, Value& out) override;
  i64 length() const override;

  i64 start, stop, step;
};

struct DictView : Object {
  enum class Of { keys, values, items };
  DictView(Value of_dict, Of which) : dict(std::move(of_dict)), of(which) {
    height = checked_height(1 + jinja::height(dict));
  }
  std::string_view type() const override;
  bool iterable() const override { return true; }
  bool element(Run&, i64 index, Value& out) override;
  i64 length() const override { return static_cast<i64>(dict.dict().items.size()); }

  Value dict;
  Of of;
};

// The only thing that a program can change.
struct Namespace : Object {
  std::string_view type() const override { return "Namespace"; }
  std::optional<Value> attribute(Run&, std::string_view name) override;
  void clear() override { members.clear(); }

  Dict members;
};

}  // namespace longsight::jinja
