#include "runtime/jinja/loop.h"

#include "runtime/jinja/python/parameters.h"

namespace longsight::jinja {

Loop::Loop(Run& run, Value iterable, Iterator::Pull pull, bool sized, i64 depth)
    : run_(run), iterable_(std::move(iterable)), pull_(std::move(pull)), sized_(sized), depth_(depth) {}

void Loop::clear() {
  pull_ = nullptr;
  recurse = nullptr;
}

bool Loop::peek() {
  if (after_) return true;
  Value value;
  if (counted_) {
    if (rest_at_ >= rest_.size()) return false;
    value = rest_[rest_at_++];
  } else if (pull_ == nullptr || !pull_(run_, value)) {
    return false;
  }
  after_ = std::move(value);
  return true;
}

bool Loop::next(Value& out) {
  if (!peek()) return false;
  ++index_;
  before_ = std::move(current_);
  current_ = *after_;
  after_.reset();
  out = *current_;
  return true;
}

i64 Loop::count() {
  if (length_) return *length_;
  const bool has_length = iterable_.kind() != Kind::object || iterable_.object().length() >= 0;
  if (sized_ && has_length) {
    length_ = jinja::length(run_, iterable_);
  } else {
    Value value;
    while (pull_ != nullptr && pull_(run_, value)) {
      run_.spend_room(rest_.size());
      rest_.push_back(value);
    }
    counted_ = true;
    length_ = static_cast<i64>(rest_.size()) + index_ + 1 + (after_ ? 1 : 0);
  }
  return *length_;
}

bool Loop::changed(std::vector<Value> values) {
  Value now = Value::tuple(std::move(values));
  if (last_changed_ && equal(run_, *last_changed_, now)) return false;
  last_changed_ = std::move(now);
  return true;
}

namespace {

Value loop_cycle(Run&, const Value& self, Arguments&& arguments) {
  const auto& loop = static_cast<const Loop&>(self.object());
  if (arguments.positional.empty() || !arguments.named.empty()) refuse("no items for cycling given");
  return arguments.positional[static_cast<std::size_t>(loop.index()) % arguments.positional.size()];
}

Value loop_changed(Run&, const Value& self, Arguments&& arguments) {
  return Value::boolean(static_cast<Loop&>(self.object()).changed(std::move(arguments.positional)));
}

Value method(std::string_view name, Function::Body body, Loop& loop) {
  const Value self(std::static_pointer_cast<Object>(loop.shared_from_this()));
  return Value(std::shared_ptr<Object>(std::make_shared<Function>(name, body, self)));
}

}  // namespace

std::optional<Value> Loop::attribute(Run&, std::string_view name) {
  if (name == "index") return Value::integer(index_ + 1);
  if (name == "index0") return Value::integer(index_);
  if (name == "revindex") return Value::integer(count() - index_);
  if (name == "revindex0") return Value::integer(count() - index_ - 1);
  if (name == "first") return Value::boolean(index_ == 0);
  if (name == "last") return Value::boolean(!peek());
  if (name == "length") return Value::integer(count());
  if (name == "depth") return Value::integer(depth_ + 1);
  if (name == "depth0") return Value::integer(depth_);
  if (name == "previtem") return index_ == 0 || !before_ ? undefined("there is no previous item") : *before_;
  if (name == "nextitem") return peek() ? *after_ : undefined("there is no next item");
  if (name == "cycle") return method("cycle", loop_cycle, *this);
  if (name == "changed") return method("changed", loop_changed, *this);
  return std::nullopt;
}

Value Loop::call(Run&, Arguments&& arguments) {
  const Parameters given("loop", std::move(arguments), {"iterable"}, 1);
  if (recurse == nullptr) refuse("The loop must have the 'recursive' marker to be called recursively.");
  return recurse(given[0], depth_ + 1);
}

}  // namespace longsight::jinja
