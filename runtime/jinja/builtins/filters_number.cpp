// int, float, round, abs.
#include <algorithm>
#include <cmath>

#include "runtime/jinja/builtins/filters_text.h"
#include "runtime/jinja/python/characters.h"
#include "runtime/jinja/python/parameters.h"
#include "runtime/jinja/python/string_methods.h"

namespace longsight::jinja::filter {

Value abs(Run&, const Value& value, Arguments&& arguments) {
  const Parameters given("abs", std::move(arguments), {});
  if (value.is(Kind::real)) return Value::real(std::fabs(value.as_real()));
  if (!is_integer(value)) refuse("bad operand type for abs(): '{}'", type_name(value));
  return integer_of(value) < 0 ? negative(value) : positive(value);
}

namespace {

// int(text, base), or nothing where Python raises ValueError.
std::optional<i64> parse_integer(std::string_view text, i64 base) {
  while (!text.empty() && is_space(code_point(character_at(text, 0))))
    text.remove_prefix(character_at(text, 0).size());
  while (!text.empty()) {
    std::size_t last = text.size() - 1;
    while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xC0) == 0x80) --last;
    if (!is_space(code_point(text.substr(last)))) break;
    text = text.substr(0, last);
  }
  bool minus = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    minus = text[0] == '-';
    text.remove_prefix(1);
  }
  const auto prefix = [&](char letter) {
    return text.size() > 1 && text[0] == '0' && (text[1] | 0x20) == letter;
  };
  bool underscore_allowed = false;
  if ((base == 16 || base == 0) && prefix('x')) {
    base = 16;
    text.remove_prefix(2);
    underscore_allowed = true;
  } else if ((base == 8 || base == 0) && prefix('o')) {
    base = 8;
    text.remove_prefix(2);
    underscore_allowed = true;
  } else if ((base == 2 || base == 0) && prefix('b')) {
    base = 2;
    text.remove_prefix(2);
    underscore_allowed = true;
  } else if (base == 0) {
    base = 10;
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != std::string_view::npos)
      return std::nullopt;
  }
  if (text.empty()) return std::nullopt;
  i64 value = 0;
  bool digit_before = underscore_allowed;
  for (const char c : text) {
    if (c == '_') {
      if (!digit_before) return std::nullopt;
      digit_before = false;
      continue;
    }
    const i64 digit = c >= '0' && c <= '9'                     ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (c | 0x20) - 'a' + 10
                                                               : 99;
    if (digit >= base) return std::nullopt;
    if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value)) {
      refuse("an integer beyond 64 bits");
    }
    digit_before = true;
  }
  if (!digit_before) return std::nullopt;
  return minus ? -value : value;
}

// float(text), or nothing.
std::optional<double> parse_real(Run& run, const Text& whole) {
  std::string text = strip(run, whole, {}, true, true).text().bytes;
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
    if (text[i] == '_' && i > 0 && digit(i - 1) && digit(i + 1)) continue;
    plain += text[i];
  }
  std::string low = plain;
  std::transform(low.begin(), low.end(), low.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  const std::string unsigned_part = low.starts_with('+') || low.starts_with('-') ? low.substr(1) : low;
  if (unsigned_part == "inf" || unsigned_part == "infinity") return low[0] == '-' ? -HUGE_VAL : HUGE_VAL;
  if (unsigned_part == "nan") return std::nan("");
  if (unsigned_part.empty() || unsigned_part.find_first_not_of("0123456789.e+-") != std::string::npos)
    return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(low.c_str(), &end);
  if (end != low.c_str() + low.size()) return std::nullopt;
  return value;
}

}  // namespace

Value integer(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("int", std::move(arguments), {"default", "base"});
  require_defined(value);
  const Value otherwise = given.value(0, Value::integer(0));
  const auto from_real = [&](double number, bool is_value) {
    if (std::isnan(number)) return otherwise;
    if (std::isinf(number)) {
      if (is_value) refuse("cannot convert float infinity to integer");
      return otherwise;
    }
    if (!(std::fabs(number) < 9.2e18)) refuse("an integer beyond 64 bits");
    return Value::integer(static_cast<i64>(number));
  };
  if (is_integer(value)) return Value::integer(integer_of(value));
  if (value.is(Kind::real)) return from_real(value.as_real(), true);
  if (!value.is(Kind::string)) return otherwise;
  const i64 base = given.integer(1, 10);
  if (base == 0 || (base >= 2 && base <= 36)) {
    run.spend_bytes(static_cast<i64>(value.text().bytes.size()) * 8);
    if (const std::optional<i64> number = parse_integer(value.text().bytes, base))
      return Value::integer(*number);
  }
  if (const std::optional<double> number = parse_real(run, value.text())) return from_real(*number, false);
  return otherwise;
}

Value real(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("float", std::move(arguments), {"default"});
  require_defined(value);
  if (is_number(value)) return Value::real(real_of(value));
  if (value.is(Kind::string)) {
    if (const std::optional<double> number = parse_real(run, value.text())) return Value::real(*number);
  }
  return given.value(0, Value::real(0));
}

Value round(Run&, const Value& value, Arguments&& arguments) {
  const Parameters given("round", std::move(arguments), {"precision", "method"});
  const std::string method = given.has(1) ? require_string(given[1], "method").bytes : "common";
  if (method != "common" && method != "ceil" && method != "floor")
    refuse("method must be common, ceil or floor");
  const i64 precision = given.integer(0, 0);
  require_defined(value);
  if (!is_number(value)) refuse("type {} doesn't define __round__ method", type_name(value));
  if (precision < -300 || precision > 300) refuse("a precision beyond 300 digits");
  if (method == "common") {
    if (is_integer(value)) {
      if (precision >= 0) return Value::integer(integer_of(value));
      if (precision < -18) return Value::integer(0);
      i64 unit = 1;
      for (i64 i = 0; i < -precision; ++i) unit *= 10;
      // Half goes to the even neighbour.
      const i64 number = integer_of(value);
      i64 down = number / unit;
      i64 rest = number % unit;
      if (rest < 0) {
        rest += unit;
        --down;
      }
      if (rest > unit - rest || (rest == unit - rest && down % 2 != 0)) ++down;
      return Value::integer(checked_mul(down, unit));
    }
    const double number = value.as_real();
    if (!std::isfinite(number)) return value;
    if (precision < 0) {
      const double unit = std::pow(10.0, static_cast<double>(-precision));
      return Value::real(std::nearbyint(number / unit) * unit);
    }
    // The decimal digits of the number, correctly rounded.
    return Value::real(std::strtod(fmt::format("{:.{}f}", number, precision).c_str(), nullptr));
  }
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = real_of(value) * unit;
  if (!std::isfinite(scaled)) refuse("cannot convert float infinity to integer");
  // Python's are integers: there is no -0.
  return Value::real(((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) + 0.0) / unit);
}

}  // namespace longsight::jinja::filter
