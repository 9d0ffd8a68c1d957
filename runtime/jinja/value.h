// The values of the template language: those of Python that JSON has, tuples, and objects (functions,
// iterators, namespaces). Copies are cheap and share what lies behind them; nothing that a template can do
// changes a value.
//
// Strings are UTF-8; indices and lengths count code points. A string made with an origin remembers which of
// its bytes come from there: through slices, strip, concatenation, join, replace and filters as far as the
// bytes are still those of the input. Bytes that an operation makes anew (upper, tojson) keep the origin
// where all of its input has one.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::jinja {

// Bytes [begin, end) of a text that come from the string with this origin.
struct Span {
  i64 begin = 0;
  i64 end = 0;
  int origin = 0;
  bool operator==(const Span&) const = default;
};

enum class Kind : std::uint8_t { undefined, none, boolean, integer, real, string, list, tuple, dict, object };

struct Text;      // text.h
struct Sequence;  // objects.h, likewise the next three
struct Dict;
struct Object;
struct Undefined;

class Value {
 public:
  Value() = default;  // None
  // Objects keep the order of their keys, which `tojson`, `items` and printing show. bad_data for integers
  // beyond 63 bits and a sign, and for more than 500 containers inside of each other.
  static Value of(const nlohmann::ordered_json& json);
  static Value boolean(bool value);
  static Value integer(i64 value);
  static Value real(double value);
  // Well-formed UTF-8 (else an internal error); origin >= 0, or -1 for none.
  static Value string(std::string text, int origin = -1);
  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);
  static Value object(
      std::vector<std::pair<std::string, Value>> members);  // a dict; of equal keys the last counts
  static Value dict_of(std::vector<std::pair<Value, Value>> members);  // the same; its keys are strings

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }

  // For the interpreter. Each only for values of its kind.
  explicit Value(std::shared_ptr<const Text> text);
  explicit Value(std::shared_ptr<Dict> dict);
  explicit Value(std::shared_ptr<Object> object);
  explicit Value(std::shared_ptr<Undefined> undefined);
  bool as_bool() const { return scalar_.boolean; }
  i64 as_integer() const { return scalar_.integer; }
  double as_real() const { return scalar_.real; }
  const Text& text() const { return *static_cast<const Text*>(shared_.get()); }
  const Sequence& sequence() const {
    return *static_cast<const Sequence*>(shared_.get());
  }  // of a list or a tuple
  Dict& dict() const { return *static_cast<Dict*>(shared_.get()); }
  Object& object() const { return *static_cast<Object*>(shared_.get()); }
  const Undefined& undefined() const { return *static_cast<const Undefined*>(shared_.get()); }
  const void* identity() const { return shared_.get(); }  // null for scalars

 private:
  Value(Kind kind, std::shared_ptr<void> shared) : kind_(kind), shared_(std::move(shared)) {}

  union Scalar {
    i64 integer;
    double real;
    bool boolean;
  };
  Kind kind_ = Kind::none;
  Scalar scalar_{0};
  std::shared_ptr<void> shared_;
};

}  // namespace longsight::jinja
