// The `attribute` that filters take.
#pragma once

#include <vector>

#include "runtime/jinja/python/string_methods.h"

namespace longsight::jinja::filter {

// make_attrgetter: "a.b.0" is item after item, nothing is the element itself.
class Getter {
 public:
  Getter() = default;
  Getter(Run& run, const Value& attribute) {
    if (attribute.is(Kind::none)) return;
    if (!attribute.is(Kind::string)) {
      parts_.push_back(attribute);
      return;
    }
    for (const Value& part : split(run, attribute.text(), Value::string("."), -1, false)) {
      const std::string& bytes = part.text().bytes;
      const bool number =
          !bytes.empty() && bytes.size() < 18 && bytes.find_first_not_of("0123456789") == std::string::npos;
      parts_.push_back(number ? Value::integer(std::stoll(bytes)) : part);
    }
  }
  Value operator()(Run& run, Value value, const Value* otherwise = nullptr) const {
    for (const Value& part : parts_) {
      value = item(run, value, part);
      if (otherwise != nullptr && value.is(Kind::undefined)) value = *otherwise;
    }
    return value;
  }

 private:
  std::vector<Value> parts_;
};

}  // namespace longsight::jinja::filter
