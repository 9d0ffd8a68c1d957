#include "runtime/jinja/python/format_number.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "runtime/jinja/python/characters.h"

namespace longsight::jinja {
namespace {

std::string sign_of(bool negative, const Layout& layout) {
  if (negative) return "-";
  return layout.sign == '+' ? "+" : layout.sign == ' ' ? " " : "";
}

std::string grouped(const std::string& digits, char mark, std::size_t every) {
  std::string result;
  const std::size_t whole = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  for (std::size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % every == 0) result += mark;
    result += digits[i];
  }
  return result + digits.substr(whole);
}

std::string printed(const char* pattern, int precision, double value) {
  char buffer[512];
  const int size = std::snprintf(buffer, sizeof buffer, pattern, precision, value);
  if (size < 0 || size >= static_cast<int>(sizeof buffer)) refuse("a number of too many digits");
  return buffer;
}

}  // namespace

Digits integer_digits(i64 value, const Layout& layout) {
  if (layout.precision >= 0) refuse("Precision not allowed in integer format specifier");
  if (layout.type == 'c') {
    if (value < 0 || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
      refuse("%c arg not in range(0x110000)");
    std::string character;
    append_utf8(character, static_cast<char32_t>(value));
    return {"", character};
  }
  const u64 magnitude = value < 0 ? 0 - static_cast<u64>(value) : static_cast<u64>(value);
  Digits result{sign_of(value < 0, layout), ""};
  switch (layout.type) {
    case 'x':
      result.digits = fmt::format("{:x}", magnitude);
      break;
    case 'X':
      result.digits = fmt::format("{:X}", magnitude);
      break;
    case 'o':
      result.digits = fmt::format("{:o}", magnitude);
      break;
    case 'b':
      result.digits = fmt::format("{:b}", magnitude);
      break;
    default:
      result.digits = std::to_string(magnitude);
  }
  const bool decimal = layout.type == 0 || layout.type == 'd' || layout.type == 'n';
  if (layout.grouping == ',' && !decimal) refuse("Cannot specify ',' with '{}'.", layout.type);
  if (layout.grouping != 0) result.digits = grouped(result.digits, layout.grouping, decimal ? 3 : 4);
  if (layout.alternate && !decimal) result.sign += std::string("0") + layout.type;
  return result;
}

Digits real_digits(double value, const Layout& layout) {
  if (layout.precision > 300) refuse("a precision of more than 300 digits");
  Digits result{sign_of(std::signbit(value) && !std::isnan(value), layout), ""};
  const bool capital = layout.type == 'E' || layout.type == 'F' || layout.type == 'G';
  if (!std::isfinite(value)) {
    result.digits = std::isnan(value) ? "nan" : "inf";
    if (capital) std::transform(result.digits.begin(), result.digits.end(), result.digits.begin(), ::toupper);
    if (layout.type == '%') result.digits += '%';
    return result;
  }
  const double magnitude = std::fabs(value);
  const int precision = layout.precision < 0 ? 6 : static_cast<int>(layout.precision);
  switch (layout.type) {
    case 'e':
      result.digits = printed(layout.alternate ? "%#.*e" : "%.*e", precision, magnitude);
      break;
    case 'E':
      result.digits = printed(layout.alternate ? "%#.*E" : "%.*E", precision, magnitude);
      break;
    case 'f':
    case 'F':
      result.digits = printed(layout.alternate ? "%#.*f" : "%.*f", precision, magnitude);
      break;
    case '%':
      result.digits = printed("%.*f", precision, magnitude * 100) + "%";
      break;
    case 'G':
      result.digits = printed(layout.alternate ? "%#.*G" : "%.*G", precision, magnitude);
      break;
    case 'g':
    case 'n':
      result.digits = printed(layout.alternate ? "%#.*g" : "%.*g", precision, magnitude);
      break;
    default:
      if (layout.precision < 0) {
        result.digits = real_text(magnitude);
      } else {
        // As g, but with an exponent one digit earlier, and always with a digit behind the point.
        const int digits = std::max(precision, 1);
        const std::string scientific = printed("%.*e", digits - 1, magnitude);
        const std::size_t e = scientific.find('e');
        const int exponent = std::stoi(scientific.substr(e + 1));
        if (exponent >= -4 && exponent < digits - 1) {
          result.digits = printed("%.*g", digits, magnitude);
          if (result.digits.find('.') == std::string::npos) result.digits += ".0";
        } else {
          std::string mantissa = scientific.substr(0, e);
          if (mantissa.find('.') != std::string::npos) {
            while (mantissa.ends_with('0')) mantissa.pop_back();
            if (mantissa.ends_with('.')) mantissa.pop_back();
          }
          result.digits = mantissa + scientific.substr(e);
        }
      }
  }
  if (layout.grouping != 0) result.digits = grouped(result.digits, layout.grouping, 3);
  return result;
}

void add_padded(TextBuilder& out, const Digits& digits, const Layout& layout) {
  const i64 missing =
      std::max(layout.width - count_code_points(digits.sign) - count_code_points(digits.digits), i64{0});
  const char align = layout.align == 0 ? '>' : layout.align;
  const i64 left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  if (align == '=') out.add(digits.sign);
  for (i64 i = 0; i < left; ++i) out.add(layout.fill);
  if (align != '=') out.add(digits.sign);
  out.add(digits.digits);
  for (i64 i = left; i < missing; ++i) out.add(layout.fill);
}

void add_padded(Run& run, TextBuilder& out, const Text& text, const Layout& layout) {
  const i64 length = layout.precision < 0 ? text.length : std::min(text.length, layout.precision);
  const i64 missing = std::max(layout.width - length, i64{0});
  run.spend_bytes(static_cast<i64>(text.bytes.size()) + missing);
  const i64 left = layout.align == '>' ? missing : layout.align == '^' ? missing / 2 : 0;
  for (i64 i = 0; i < left; ++i) out.add(layout.fill);
  out.add(text, 0, text.offset(length));
  for (i64 i = left; i < missing; ++i) out.add(layout.fill);
}

}  // namespace longsight::jinja
