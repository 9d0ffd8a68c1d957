// What forward leaves for backward: a stack of values, last in, first out. Popping another type than was
// pushed throws.
#pragma once

#include <any>
#include <typeinfo>
#include <utility>
#include <vector>

#include "runtime/base/error.h"

namespace longsight {

class Frames {
 public:
  template <class T>
  void push(T frame) {
    stack_.emplace_back(std::move(frame));
  }

  template <class T>
  T pop() {
    check(!stack_.empty(), "backward pops a frame that no forward pushed");
    T* top = std::any_cast<T>(&stack_.back());
    check(top != nullptr, "backward pops {} but forward pushed {}", typeid(T).name(),
          stack_.back().type().name());
    T frame = std::move(*top);
    stack_.pop_back();
    return frame;
  }

  std::size_t size() const { return stack_.size(); }
  void drop_to(std::size_t size) {  // frames whose backward is not run: evaluation, frozen layers
    check(size <= stack_.size(), "{} frames cut to {}", stack_.size(), size);
    stack_.resize(size);
  }

 private:
  std::vector<std::any> stack_;
};

}  // namespace longsight
