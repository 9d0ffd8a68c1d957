// What Python does with values: truth, text, order, arithmetic, iteration, lookup. Everything refuses (run.h)
// where Python raises, with its words.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/jinja/objects.h"
#include "runtime/jinja/run.h"
#include "runtime/jinja/value.h"

namespace longsight::jinja {

// values.cpp
std::string_view type_name(const Value& value);
bool truth(Run& run, const Value& value);
bool is_number(const Value& value);        // int, float, bool
bool is_integer(const Value& value);       // int, bool
i64 integer_of(const Value& value);        // of an int or a bool
double real_of(const Value& value);        // of a number
void require_defined(const Value& value);  // refuses an undefined value with its message
void require_hashable(const Value& value);
const Text& require_string(const Value& value, std::string_view what);
i64 require_integer(const Value& value, std::string_view what);

// print.cpp
Value str(Run& run, const Value& value);                     // str(): a string, the same if it is one
void print(Run& run, TextBuilder& out, const Value& value);  // the same, appended
void repr(Run& run, TextBuilder& out, const Value& value);
std::string quoted(std::string_view text);  // repr() of a string
std::string real_text(double value);        // repr() of a float

// compare.cpp
bool equal(Run& run, const Value& a, const Value& b);
bool same(const Value& a, const Value& b);  // `is`
bool less(Run& run, const Value& a, const Value& b);
enum class Comparison : std::uint8_t { eq, ne, lt, le, gt, ge, in, not_in };
bool compare(Run& run, Comparison how, const Value& a, const Value& b);
bool contains(Run& run, const Value& container, const Value& element);

// arithmetic.cpp
enum class Binary : std::uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };
Value binary(Run& run, Binary operation, const Value& a, const Value& b);
Value negative(const Value& value);
Value positive(const Value& value);

// format.cpp
Value percent_format(Run& run, const Text& text, const Value& values);       // text % values
Value brace_format(Run& run, const Text& text, const Arguments& arguments);  // text.format(..)

// iterate.cpp
// A pass over the elements of a value.
class Cursor {
 public:
  Cursor(Run& run, Value source);  // refuses what cannot be iterated over
  bool next(Run& run, Value& out);

 private:
  Value source_;
  i64 at_ = 0;
};
bool iterable(const Value& value);
std::vector<Value> elements(Run& run, const Value& value);
i64 length(Run& run, const Value& value);  // len()
Value iterator(Iterator::Pull pull, int elements_height, std::string_view type = "generator");

// lookup.cpp
Value attribute(Run& run, const Value& object, const Value& name);  // object.name, as the sandbox has it
Value item(Run& run, const Value& object, const Value& key);        // object[key]
Value slice(Run& run, const Value& object, const Value& start, const Value& stop, const Value& step);
Value text_slice(Run& run, const Text& text, i64 begin, i64 end);  // bytes
Value call(Run& run, const Value& callee, Arguments&& arguments);

// methods.cpp: a method of a built-in type, or nullptr.
Function::Body find_method(Kind kind, std::string_view name, std::string_view& kept_name);
Function::Body find_string_method(std::string_view name, std::string_view& kept_name);

// escape.cpp
Value escape(Run& run, const Value& value);  // & < > ' ", unless it is escaped
void escape(TextBuilder& out, const Text& text);

// json.cpp
struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
Value to_json(Run& run, const Value& value, const JsonStyle& style);

}  // namespace longsight::jinja
