#include "runtime/jinja/objects.h"

#include <algorithm>

#include "runtime/jinja/python/python.h"

namespace longsight::jinja {
namespace {

constexpr int kMaxHeight = 500;
constexpr std::size_t kIndexed = 16;  // a dict of fewer keys is searched

}  // namespace

int height(const Value& value) {
  switch (value.kind()) {
    case Kind::list:
    case Kind::tuple:
      return value.sequence().height;
    case Kind::dict:
      return value.dict().height;
    case Kind::object:
      return value.object().height;
    default:
      return 0;
  }
}

int height_above(const std::vector<Value>& items) {
  int most = 0;
  for (const Value& item : items) most = std::max(most, height(item));
  return checked_height(most + 1);
}

int height(const Arguments& arguments) {
  int most = 0;
  for (const Value& each : arguments.positional) most = std::max(most, height(each));
  for (const auto& each : arguments.named) most = std::max(most, height(each.second));
  return most;
}

int checked_height(int height) {
  if (height > kMaxHeight) refuse("more than {} values inside of each other", kMaxHeight);
  return height;
}

i64 Dict::position(std::string_view key) const {
  if (items.size() > kIndexed) {
    const auto found = index_.find(key);
    return found == index_.end() ? -1 : static_cast<i64>(found->second);
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].first.is(Kind::string) && items[i].first.text().bytes == key) return static_cast<i64>(i);
  }
  return -1;
}

const Value* Dict::find(std::string_view key) const {
  const i64 at = position(key);
  return at < 0 ? nullptr : &items[static_cast<std::size_t>(at)].second;
}

const Value* Dict::find(Run& run, const Value& key) const {
  require_hashable(key);
  if (key.is(Kind::string)) return find(key.text().bytes);
  for (const auto& [name, value] : items) {
    run.spend(1);
    if (!name.is(Kind::string) && equal(run, name, key)) return &value;
  }
  return nullptr;
}

void Dict::added() {
  height = std::max({height, 1 + jinja::height(items.back().first), 1 + jinja::height(items.back().second)});
  checked_height(height);
  if (items.size() <= kIndexed) return;
  for (std::size_t i = index_.empty() ? 0 : items.size() - 1; i < items.size(); ++i) {
    if (items[i].first.is(Kind::string)) index_.emplace(items[i].first.text().bytes, i);
  }
}

void Dict::set(Run& run, const Value& key, Value value) {
  if (const Value* there = find(run, key)) {
    height = std::max(height, checked_height(1 + jinja::height(value)));
    *const_cast<Value*>(there) = std::move(value);
    return;
  }
  run.spend_room(items.size());
  items.emplace_back(key, std::move(value));
  added();
}

void Dict::set(std::string_view key, Value value) {
  set(Value::string(std::string(key)), std::move(value));
}

void Dict::set(const Value& key, Value value) {
  if (const i64 at = position(key.text().bytes); at >= 0) {
    height = std::max(height, checked_height(1 + jinja::height(value)));
    items[static_cast<std::size_t>(at)].second = std::move(value);
    return;
  }
  items.emplace_back(key, std::move(value));
  added();
}

Value undefined(std::string message) {
  return Value(std::make_shared<Undefined>(Undefined{std::move(message)}));
}

bool Iterator::element(Run& run, i64, Value& out) {
  // One iterator may pull from another, and so on.
  const Nested nested(run);
  run.spend(1);
  return pull(run, out);
}

i64 Range::length() const {
  if (step > 0 ? start >= stop : start <= stop) return 0;
  // Unsigned: the ends may lie nearly 2^64 apart.
  const auto first = static_cast<u64>(start);
  const auto behind = static_cast<u64>(stop);
  const u64 distance = step > 0 ? behind - first : first - behind;
  const u64 by = step > 0 ? static_cast<u64>(step) : 0 - static_cast<u64>(step);
  const u64 count = (distance - 1) / by + 1;
  return count > static_cast<u64>(INT64_MAX) ? INT64_MAX : static_cast<i64>(count);
}

bool Range::element(Run&, i64 index, Value& out) {
  if (index >= length()) return false;
  out = Value::integer(start + index * step);
  return true;
}

std::optional<Value> Range::attribute(Run&, std::string_view name) {
  if (name == "start") return Value::integer(start);
  if (name == "stop") return Value::integer(stop);
  if (name == "step") return Value::integer(step);
  return std::nullopt;
}

std::string_view DictView::type() const {
  return of == Of::keys ? "dict_keys" : of == Of::values ? "dict_values" : "dict_items";
}

bool DictView::element(Run&, i64 index, Value& out) {
  const auto& items = dict.dict().items;
  if (index >= static_cast<i64>(items.size())) return false;
  const auto& [key, value] = items[static_cast<std::size_t>(index)];
  out = of == Of::keys ? key : of == Of::values ? value : Value::tuple({key, value});
  return true;
}

std::optional<Value> Namespace::attribute(Run&, std::string_view name) {
  if (const Value* value = members.find(name)) return *value;
  return std::nullopt;
}

}  // namespace longsight::jinja
