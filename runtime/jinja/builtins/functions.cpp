// The functions that every template sees.
#include <cstring>
#include <ctime>

#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/python/parameters.h"

namespace longsight::jinja {
namespace {

constexpr i64 kMaxRange = 100'000;  // the sandbox's

Value range(Run&, const Value&, Arguments&& arguments) {
  if (arguments.positional.empty() || arguments.positional.size() > 3 || !arguments.named.empty()) {
    refuse("range expected 1 to 3 arguments, got {}", arguments.positional.size());
  }
  std::vector<i64> given;
  for (const Value& value : arguments.positional)
    given.push_back(require_integer(value, "the argument of range()"));
  const i64 start = given.size() == 1 ? 0 : given[0];
  const i64 stop = given.size() == 1 ? given[0] : given[1];
  const i64 step = given.size() == 3 ? given[2] : 1;
  if (step == 0) refuse("range() arg 3 must not be zero");
  auto result = std::make_shared<Range>(start, stop, step);
  if (result->length() > kMaxRange) {
    refuse("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", kMaxRange);
  }
  return Value(std::shared_ptr<Object>(std::move(result)));
}

// dict(mapping or pairs, **members)
void fill(Run& run, Dict& dict, Arguments&& arguments) {
  if (arguments.positional.size() > 1)
    refuse("dict expected at most 1 argument, got {}", arguments.positional.size());
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    require_defined(source);
    if (source.is(Kind::dict)) {
      for (const auto& [key, value] : source.dict().items) dict.set(run, key, value);
    } else {
      Cursor cursor(run, source);
      Value pair;
      while (cursor.next(run, pair)) {
        const std::vector<Value> both = elements(run, pair);
        if (both.size() != 2)
          refuse("a dictionary update sequence element has length {}; 2 is required", both.size());
        dict.set(run, both[0], both[1]);
      }
    }
  }
  for (auto& [name, value] : arguments.named) {
    run.spend(1);
    dict.set(name, std::move(value));
  }
}

Value dict(Run& run, const Value&, Arguments&& arguments) {
  auto result = std::make_shared<Dict>();
  fill(run, *result, std::move(arguments));
  return Value(std::move(result));
}

Value namespace_(Run& run, const Value&, Arguments&& arguments) {
  auto result = std::make_shared<Namespace>();
  fill(run, result->members, std::move(arguments));
  for (const auto& [name, value] : result->members.items) {
    if (name.is(Kind::string) && name.text().bytes.starts_with('_')) {
      refuse(
          "Chat templates cannot store underscore-prefixed attributes on a namespace, but got {}. Please "
          "rename the "
          "attribute.",
          quoted(name.text().bytes));
    }
  }
  run.keep(result);
  return Value(std::shared_ptr<Object>(std::move(result)));
}

Value raise_exception(Run& run, const Value&, Arguments&& arguments) {
  const Parameters given("raise_exception", std::move(arguments), {"message"}, 1);
  throw Refused(str(run, given[0]).text().bytes, true);
}

Value strftime_now(Run& run, const Value&, Arguments&& arguments) {
  const Parameters given("strftime_now", std::move(arguments), {"format"}, 1);
  std::string format = require_string(given[0], "strftime() argument 1").bytes;
  const std::time_t now = run.options.now ? static_cast<std::time_t>(*run.options.now) : std::time(nullptr);
  std::tm parts{};
  if ((run.options.now ? gmtime_r(&now, &parts) : localtime_r(&now, &parts)) == nullptr)
    refuse("no such time");
  // What Python's datetime adds: microseconds, and no zone.
  std::string asked;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      asked += format[i];
      continue;
    }
    const char what = format[++i];
    if (what == 'f') {
      asked += "000000";
    } else if (what != 'z' && what != 'Z') {
      asked += {'%', what};
    }
  }
  if (asked.empty()) return Value::string("");
  if (asked.size() > 1000) refuse("strftime_now: a format of more than 1000 bytes");
  std::string text(asked.size() * 64 + 64, '\0');
  text.resize(std::strftime(text.data(), text.size(), asked.c_str(), &parts));
  return Value::string(std::move(text));
}

struct Cycler : Object {
  std::string_view type() const override { return "Cycler"; }
  std::optional<Value> attribute(Run&, std::string_view name) override;
  void clear() override { items.clear(); }

  std::vector<Value> items;
  std::size_t at = 0;
};

Value cycler_next(Run&, const Value& self, Arguments&&) {
  auto& cycler = static_cast<Cycler&>(self.object());
  if (cycler.items.empty()) refuse("the cycler is empty");
  const Value value = cycler.items[cycler.at];
  cycler.at = (cycler.at + 1) % cycler.items.size();
  return value;
}

Value cycler_reset(Run&, const Value& self, Arguments&&) {
  static_cast<Cycler&>(self.object()).at = 0;
  return {};
}

// The methods refer to a cycler that the run owns.
std::optional<Value> Cycler::attribute(Run&, std::string_view name) {
  if (name == "current" && !items.empty()) return items[at];
  const Value self{std::shared_ptr<Object>(std::shared_ptr<Object>(), this)};
  if (name == "next")
    return Value(std::shared_ptr<Object>(std::make_shared<Function>("next", cycler_next, self)));
  if (name == "reset")
    return Value(std::shared_ptr<Object>(std::make_shared<Function>("reset", cycler_reset, self)));
  return std::nullopt;
}

Value cycler(Run& run, const Value&, Arguments&& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty())
    refuse("at least one item has to be provided");
  auto result = std::make_shared<Cycler>();
  result->items = std::move(arguments.positional);
  checked_height(height_above(result->items));
  run.keep(result);
  return Value(std::shared_ptr<Object>(std::move(result)));
}

struct Joiner : Object {
  explicit Joiner(Value by) : separator(std::move(by)) {}
  std::string_view type() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value call(Run&, Arguments&&) override { return std::exchange(used, true) ? separator : Value::string(""); }

  Value separator;
  bool used = false;
};

Value joiner(Run&, const Value&, Arguments&& arguments) {
  const Parameters given("joiner", std::move(arguments), {"sep"});
  return Value(std::shared_ptr<Object>(std::make_shared<Joiner>(given.value(0, Value::string(", ")))));
}

Value lipsum(Run&, const Value&, Arguments&&) {
  refuse("lipsum(), whose text is random, is not supported");
}

struct Global {
  std::string_view name;
  Function::Body body;
};

constexpr Global kGlobals[] = {
    {"range", range},   {"dict", dict},     {"namespace", namespace_}, {"raise_exception", raise_exception},
    {"cycler", cycler}, {"joiner", joiner}, {"lipsum", lipsum},        {"strftime_now", strftime_now},
};

// `dict` of transformers has a second function.
struct DictFunction : Function {
  using Function::Function;
  std::optional<Value> attribute(Run&, std::string_view wanted) override {
    std::string_view kept;
    if (wanted != "fromkeys") return std::nullopt;
    return Value(std::shared_ptr<Object>(
        std::make_shared<Function>("fromkeys", find_method(Kind::dict, wanted, kept))));
  }
};

// The template itself, whose blocks it has: there are none.
struct TemplateReference : Object {
  std::string_view type() const override { return "TemplateReference"; }
};

}  // namespace

std::optional<Value> global_value(std::string_view name) {
  for (const Global& each : kGlobals) {
    if (each.name != name) continue;
    if (name == "dict")
      return Value(std::shared_ptr<Object>(std::make_shared<DictFunction>(each.name, each.body)));
    return Value(std::shared_ptr<Object>(std::make_shared<Function>(each.name, each.body)));
  }
  if (name == "self") return Value(std::shared_ptr<Object>(std::make_shared<TemplateReference>()));
  return std::nullopt;
}

}  // namespace longsight::jinja
