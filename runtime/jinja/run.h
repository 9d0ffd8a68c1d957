// One rendering: its budget, and how it ends early.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "runtime/jinja/template.h"
#include "runtime/jinja/text.h"

namespace longsight::jinja {

// Thrown inside of this folder; Template adds NAME:LINE.
struct Refused : Error {
  explicit Refused(const std::string& what, bool raised = false)
      : Error(ExitCode::bad_data, what), raised_by_template(raised) {}
  bool raised_by_template;
};

template <class... A>
[[noreturn]] void refuse(fmt::format_string<A...> text, A&&... values) {
  throw Refused(fmt::format(text, std::forward<A>(values)...));
}

class Run {
 public:
  explicit Run(const RenderOptions& run_options) : options(run_options), left_(run_options.limits.steps) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Charged for nodes, for elements and, so that memory is bounded too (some 500 MB), for each 16 bytes of a
  // text and for the room of elements.
  void spend(i64 steps) {
    if (steps > left_) refuse("the program takes more than {} steps", options.limits.steps);
    left_ -= steps;
  }
  void spend_bytes(i64 bytes) { spend(1 + bytes / 16); }
  // Before a list, tuple or dict of `size` elements gets `more`.
  void spend_room(std::size_t size, i64 more = 1) {
    const i64 most = options.limits.elements;
    if (more > most - static_cast<i64>(size)) refuse("a list of more than {} elements", most);
    spend(kStepsOfElement * more);
  }

  TextBuilder builder() const { return TextBuilder(options.limits.output_bytes); }
  Value text(std::string made, int origin = -1) {
    spend_bytes(static_cast<i64>(made.size()));
    return Value::string(std::move(made), origin);
  }

  // What may refer to itself is owned here, and emptied at the end.
  void keep(std::shared_ptr<Object> object) { kept_.push_back(std::move(object)); }
  const std::vector<std::shared_ptr<Object>>& kept() const { return kept_; }

  const RenderOptions& options;
  int line = 1;   // that is being run
  int depth = 0;  // see Nested

 private:
  static constexpr i64 kStepsOfElement = 4;

  i64 left_;
  std::vector<std::shared_ptr<Object>> kept_;
};

// One level deeper, in the program or in a value.
class Nested {
 public:
  explicit Nested(Run& run) : run_(run) {
    if (++run_.depth > run_.options.limits.depth) {
      --run_.depth;
      refuse("more than {} nested evaluations", run_.options.limits.depth);
    }
  }
  ~Nested() { --run_.depth; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  Run& run_;
};

}  // namespace longsight::jinja
