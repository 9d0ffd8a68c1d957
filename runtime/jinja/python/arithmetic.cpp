// + - * / // % ** with Python's meaning.
#include <cmath>

#include "runtime/jinja/python/python.h"

namespace longsight::jinja {
namespace {

constexpr std::string_view kSigns[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

[[noreturn]] void overflow() {
  refuse("an integer beyond 64 bits");
}

[[noreturn]] void unsupported(Binary operation, const Value& a, const Value& b) {
  require_defined(a);
  require_defined(b);
  refuse("unsupported operand type(s) for {}: '{}' and '{}'", kSigns[static_cast<int>(operation)],
         type_name(a), type_name(b));
}

i64 floor_divide(i64 a, i64 b) {
  if (b == 0) refuse("integer division or modulo by zero");
  if (b == -1) {
    i64 result = 0;
    if (__builtin_sub_overflow(i64{0}, a, &result)) overflow();
    return result;
  }
  return a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
}

i64 modulo(i64 a, i64 b) {
  if (b == 0) refuse("integer modulo by zero");
  if (b == -1) return 0;
  const i64 rest = a % b;
  return rest != 0 && ((rest < 0) != (b < 0)) ? rest + b : rest;
}

double modulo(double a, double b) {
  if (b == 0) refuse("float modulo");
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double floor_divide(double a, double b) {
  if (b == 0) refuse("float floor division by zero");
  // As CPython: from the remainder, so that a == (a // b) * b + a % b as nearly as it can be.
  const double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && ((rest < 0) != (b < 0))) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value power(i64 base, i64 exponent) {
  if (exponent < 0) {
    if (base == 0) refuse("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  i64 result = 1;
  bool too_big = false;  // of base; an error only if it is used
  while (exponent > 0) {
    if ((exponent & 1) != 0) {
      if (too_big || __builtin_mul_overflow(result, base, &result)) overflow();
    }
    exponent >>= 1;
    too_big = too_big || __builtin_mul_overflow(base, base, &base);
  }
  return Value::integer(result);
}

Value power(double base, double exponent) {
  if (base == 0 && exponent < 0) refuse("0.0 cannot be raised to a negative power");
  if (base < 0 && std::isfinite(exponent) && std::isfinite(base) && exponent != std::floor(exponent)) {
    refuse("complex numbers are not supported");
  }
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent))
    refuse("(34, 'Numerical result out of range')");
  return Value::real(result);
}

Value of_integers(Binary operation, i64 a, i64 b) {
  i64 result = 0;
  switch (operation) {
    case Binary::add:
      if (__builtin_add_overflow(a, b, &result)) overflow();
      return Value::integer(result);
    case Binary::subtract:
      if (__builtin_sub_overflow(a, b, &result)) overflow();
      return Value::integer(result);
    case Binary::multiply:
      if (__builtin_mul_overflow(a, b, &result)) overflow();
      return Value::integer(result);
    case Binary::divide:
      if (b == 0) refuse("division by zero");
      return Value::real(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
    case Binary::floor_divide:
      return Value::integer(floor_divide(a, b));
    case Binary::modulo:
      return Value::integer(modulo(a, b));
    case Binary::power:
      return power(a, b);
  }
  return {};
}

Value of_reals(Binary operation, double a, double b) {
  switch (operation) {
    case Binary::add:
      return Value::real(a + b);
    case Binary::subtract:
      return Value::real(a - b);
    case Binary::multiply:
      return Value::real(a * b);
    case Binary::divide:
      if (b == 0) refuse("float division by zero");
      return Value::real(a / b);
    case Binary::floor_divide:
      return Value::real(floor_divide(a, b));
    case Binary::modulo:
      return Value::real(modulo(a, b));
    case Binary::power:
      return power(a, b);
  }
  return {};
}

Value add_texts(Run& run, const Value& a, const Value& b) {
  TextBuilder out = run.builder();
  const bool markup = a.text().markup || b.text().markup;
  run.spend_bytes(static_cast<i64>(a.text().bytes.size() + b.text().bytes.size()));
  for (const Value* each : {&a, &b}) {
    if (markup && !each->text().markup) {
      escape(out, each->text());
    } else {
      out.add(each->text());
    }
  }
  return out.value(markup);
}

Value repeat(Run& run, const Value& what, i64 times) {
  times = std::max(times, i64{0});
  if (what.is(Kind::string)) {
    if (what.text().bytes.empty()) return what;
    TextBuilder out = run.builder();
    for (i64 i = 0; i < times; ++i) {
      run.spend_bytes(static_cast<i64>(what.text().bytes.size()));
      out.add(what.text());
    }
    return out.value(what.text().markup);
  }
  const std::vector<Value>& items = what.sequence().items;
  std::vector<Value> result;
  i64 size = 0;
  if (__builtin_mul_overflow(times, static_cast<i64>(items.size()), &size)) size = INT64_MAX;
  run.spend_room(0, size);
  for (i64 i = 0; i < times && !items.empty(); ++i) result.insert(result.end(), items.begin(), items.end());
  return what.is(Kind::list) ? Value::list(std::move(result)) : Value::tuple(std::move(result));
}

bool repeats(const Value& value) {
  return value.is(Kind::string) || value.is(Kind::list) || value.is(Kind::tuple);
}

}  // namespace

Value binary(Run& run, Binary operation, const Value& a, const Value& b) {
  if (a.is(Kind::string) && operation == Binary::modulo) return percent_format(run, a.text(), b);
  require_defined(a);
  require_defined(b);
  if (is_integer(a) && is_integer(b)) return of_integers(operation, integer_of(a), integer_of(b));
  if (is_number(a) && is_number(b)) return of_reals(operation, real_of(a), real_of(b));
  if (operation == Binary::add && a.kind() == b.kind()) {
    if (a.is(Kind::string)) return add_texts(run, a, b);
    if (a.is(Kind::list) || a.is(Kind::tuple)) {
      std::vector<Value> items = a.sequence().items;
      const std::vector<Value>& more = b.sequence().items;
      run.spend_room(0, static_cast<i64>(items.size() + more.size()));
      items.insert(items.end(), more.begin(), more.end());
      return a.is(Kind::list) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
    }
  }
  if (operation == Binary::multiply) {
    if (repeats(a) && is_integer(b)) return repeat(run, a, integer_of(b));
    if (is_integer(a) && repeats(b)) return repeat(run, b, integer_of(a));
  }
  if (operation == Binary::add && a.is(Kind::string)) {
    refuse("can only concatenate str (not \"{}\") to str", type_name(b));
  }
  unsupported(operation, a, b);
}

Value negative(const Value& value) {
  require_defined(value);
  if (value.is(Kind::real)) return Value::real(-value.as_real());
  if (!is_integer(value)) refuse("bad operand type for unary -: '{}'", type_name(value));
  return of_integers(Binary::subtract, 0, integer_of(value));
}

Value positive(const Value& value) {
  require_defined(value);
  if (value.is(Kind::real)) return value;
  if (!is_integer(value)) refuse("bad operand type for unary +: '{}'", type_name(value));
  return Value::integer(integer_of(value));
}

}  // namespace longsight::jinja
