// The variable `loop`.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/jinja/objects.h"

namespace longsight::jinja {

struct Loop : Object, std::enable_shared_from_this<Loop> {
  // `sized`: the elements of `iterable` are those of the loop, so that its length is the loop's.
  Loop(Run& run, Value iterable, Iterator::Pull pull, bool sized, i64 depth);
  bool next(Value& out);

  std::string_view type() const override { return "LoopContext"; }
  std::optional<Value> attribute(Run& run, std::string_view name) override;
  bool callable() const override { return true; }
  Value call(Run& run, Arguments&& arguments) override;
  i64 length() const override { return const_cast<Loop*>(this)->count(); }
  void clear() override;  // the loop is over

  std::function<Value(const Value& iterable, i64 depth)> recurse;  // where it is recursive
  bool changed(std::vector<Value> values);
  i64 index() const { return index_; }  // from 0

 private:
  i64 count();
  bool peek();  // whether there is a next element

  Run& run_;
  Value iterable_;
  Iterator::Pull pull_;
  bool sized_;
  i64 depth_;
  i64 index_ = -1;
  std::optional<i64> length_;
  std::optional<Value> before_, current_, after_;
  std::vector<Value> rest_;  // of a loop whose elements had to be counted
  std::size_t rest_at_ = 0;
  bool counted_ = false;
  std::optional<Value> last_changed_;
};

}  // namespace longsight::jinja
