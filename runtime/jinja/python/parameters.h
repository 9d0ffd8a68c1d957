// The arguments of a built-in function, by its parameters.
#pragma once

#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/jinja/python/python.h"

namespace longsight::jinja {

class Parameters {
 public:
  // A parameter whose name begins with '/' is positional only. The first `required` must be given.
  Parameters(std::string_view function, Arguments&& arguments, std::initializer_list<std::string_view> names,
             std::size_t required = 0);

  bool has(std::size_t i) const { return given_[i].has_value(); }
  const Value& operator[](std::size_t i) const { return *given_[i]; }
  // Absent: `otherwise`.
  Value value(std::size_t i, Value otherwise = {}) const {
    return has(i) ? *given_[i] : std::move(otherwise);
  }
  bool flag(Run& run, std::size_t i, bool otherwise = false) const {
    return has(i) ? truth(run, *given_[i]) : otherwise;
  }
  i64 integer(std::size_t i, i64 otherwise) const {
    return has(i) ? require_integer(*given_[i], names_[i]) : otherwise;
  }

 private:
  std::vector<std::string_view> names_;
  std::vector<std::optional<Value>> given_;
};

}  // namespace longsight::jinja
