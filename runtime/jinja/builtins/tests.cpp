// `is defined`, `is string`, ..
#include <algorithm>

#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/python/parameters.h"

namespace longsight::jinja {
namespace {

void no_arguments(Arguments&& arguments) {
  Parameters("the test", std::move(arguments), {});
}

template <bool (*kIs)(const Value&)>
bool simple(Run&, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  return kIs(value);
}

bool defined(const Value& value) {
  return !value.is(Kind::undefined);
}
bool not_defined(const Value& value) {
  return value.is(Kind::undefined);
}
bool none(const Value& value) {
  return value.is(Kind::none);
}
bool boolean(const Value& value) {
  return value.is(Kind::boolean);
}
bool true_(const Value& value) {
  return value.is(Kind::boolean) && value.as_bool();
}
bool false_(const Value& value) {
  return value.is(Kind::boolean) && !value.as_bool();
}
bool integer(const Value& value) {
  return value.is(Kind::integer);
}
bool real(const Value& value) {
  return value.is(Kind::real);
}
bool string(const Value& value) {
  return value.is(Kind::string);
}
bool mapping(const Value& value) {
  return value.is(Kind::dict);
}
bool escaped(const Value& value) {
  return value.is(Kind::string) && value.text().markup;
}
// Undefined has __call__, __len__, __iter__ and __getitem__.
bool callable(const Value& value) {
  return value.is(Kind::undefined) || (value.is(Kind::object) && value.object().callable());
}
bool sequence(const Value& value) {
  if (value.is(Kind::object)) return dynamic_cast<const Range*>(&value.object()) != nullptr;
  return iterable(value);
}

template <bool kUpper>
bool cased(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  const Value text = str(run, value);
  std::string_view kept;
  return find_string_method(kUpper ? "isupper" : "islower", kept)(run, text, Arguments{}).as_bool();
}

i64 remainder(Run& run, const Value& value, i64 by) {
  const Value rest = binary(run, Binary::modulo, value, Value::integer(by));
  if (rest.is(Kind::integer)) return rest.as_integer();
  if (rest.is(Kind::real)) return rest.as_real() == 0 ? 0 : rest.as_real() == 1 ? 1 : 2;
  return 2;
}

template <int kRest>
bool parity(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  return remainder(run, value, 2) == kRest;
}

bool divisible_by(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("divisibleby", std::move(arguments), {"num"}, 1);
  return equal(run, binary(run, Binary::modulo, value, given[0]), Value::integer(0));
}

template <Comparison kHow>
bool compared(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("the test", std::move(arguments), {"/other"}, 1);
  return compare(run, kHow, value, given[0]);
}

bool in(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("in", std::move(arguments), {"seq"}, 1);
  return contains(run, given[0], value);
}

bool same_as(Run&, const Value& value, Arguments&& arguments) {
  const Parameters given("sameas", std::move(arguments), {"other"}, 1);
  return same(value, given[0]);
}

bool names_filter(Run&, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  require_hashable(value);
  return value.is(Kind::string) &&
         (find_filter(value.text().bytes) != nullptr || unsupported_filter(value.text().bytes));
}

bool names_test(Run&, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  require_hashable(value);
  return value.is(Kind::string) && find_test(value.text().bytes) != nullptr;
}

struct NamedTest {
  std::string_view name;
  TestBody body;
};

// In the order of their names.
constexpr NamedTest kTests[] = {
    {"!=", compared<Comparison::ne>},
    {"<", compared<Comparison::lt>},
    {"<=", compared<Comparison::le>},
    {"==", compared<Comparison::eq>},
    {">", compared<Comparison::gt>},
    {">=", compared<Comparison::ge>},
    {"boolean", simple<boolean>},
    {"callable", simple<callable>},
    {"defined", simple<defined>},
    {"divisibleby", divisible_by},
    {"eq", compared<Comparison::eq>},
    {"equalto", compared<Comparison::eq>},
    {"escaped", simple<escaped>},
    {"even", parity<0>},
    {"false", simple<false_>},
    {"filter", names_filter},
    {"float", simple<real>},
    {"ge", compared<Comparison::ge>},
    {"greaterthan", compared<Comparison::gt>},
    {"gt", compared<Comparison::gt>},
    {"in", in},
    {"integer", simple<integer>},
    {"iterable", simple<iterable>},
    {"le", compared<Comparison::le>},
    {"lessthan", compared<Comparison::lt>},
    {"lower", cased<false>},
    {"lt", compared<Comparison::lt>},
    {"mapping", simple<mapping>},
    {"ne", compared<Comparison::ne>},
    {"none", simple<none>},
    {"number", simple<is_number>},
    {"odd", parity<1>},
    {"sameas", same_as},
    {"sequence", simple<sequence>},
    {"string", simple<string>},
    {"test", names_test},
    {"true", simple<true_>},
    {"undefined", simple<not_defined>},
    {"upper", cased<true>},
};

}  // namespace

TestBody find_test(std::string_view name) {
  const auto* found =
      std::lower_bound(std::begin(kTests), std::end(kTests), name,
                       [](const NamedTest& each, std::string_view value) { return each.name < value; });
  return found != std::end(kTests) && found->name == name ? found->body : nullptr;
}

bool run_test(Run& run, std::string_view name, const Value& value, Arguments&& arguments) {
  const TestBody body = find_test(name);
  if (body == nullptr) refuse("No test named '{}'.", name);
  return body(run, value, std::move(arguments));
}

}  // namespace longsight::jinja
