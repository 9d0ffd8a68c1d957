// text % values.
#include <cmath>

#include "runtime/jinja/python/format_number.h"
#include "runtime/jinja/python/format_reader.h"
#include "runtime/jinja/python/python.h"

namespace longsight::jinja {
namespace {

Value percent_argument(Run& run, const Value& values, i64& used) {
  if (values.is(Kind::tuple)) {
    if (used >= length(run, values)) refuse("not enough arguments for format string");
    return values.sequence().items[static_cast<std::size_t>(used++)];
  }
  if (used++ > 0) refuse("not enough arguments for format string");
  return values;
}

void percent_number(TextBuilder& out, const Value& value, Layout layout, bool zero, bool left) {
  require_defined(value);
  const bool integral = std::string_view("diuoxXc").find(layout.type) != std::string_view::npos;
  if (layout.type == 'i' || layout.type == 'u') layout.type = 'd';
  if (!is_number(value) || (value.is(Kind::real) && (layout.type == 'x' || layout.type == 'X' ||
                                                     layout.type == 'o' || layout.type == 'c'))) {
    refuse("%{} format: a number is required, not {}", layout.type, type_name(value));
  }
  layout.align = left ? '<' : zero && layout.type != 'c' ? '=' : '>';
  if (zero && !left && layout.type != 'c') layout.fill = "0";
  if (!integral) return add_padded(out, real_digits(real_of(value), layout), layout);
  i64 number = 0;
  if (value.is(Kind::real)) {
    const double whole = std::trunc(value.as_real());
    if (!(std::fabs(whole) < 9.2e18)) refuse("cannot convert float to integer");
    number = static_cast<i64>(whole);
  } else {
    number = integer_of(value);
  }
  const i64 precision = layout.precision;
  layout.precision = -1;
  Digits digits = integer_digits(number, layout);
  while (static_cast<i64>(digits.digits.size()) < precision) digits.digits.insert(0, 1, '0');
  add_padded(out, digits, layout);
}

void percent_conversion(Run& run, TextBuilder& out, const Value& value, Layout layout, bool zero, bool left,
                        bool markup) {
  if (layout.type != 's' && layout.type != 'r' && layout.type != 'a' &&
      !(layout.type == 'c' && value.is(Kind::string))) {
    return percent_number(out, value, layout, zero, left);
  }
  layout.align = left ? '<' : '>';
  if (layout.type == 'c' && value.text().length != 1) refuse("%c requires int or char");
  if (layout.type == 'a') refuse("%a is not supported");
  Value text;
  if (layout.type == 'r') {
    TextBuilder shown = run.builder();
    repr(run, shown, value);
    text = shown.value();
  } else {
    text = markup ? escape(run, value) : str(run, value);
  }
  if (layout.type == 'r' && markup) text = escape(run, text);
  add_padded(run, out, text.text(), layout);
}

}  // namespace

Value percent_format(Run& run, const Text& text, const Value& values) {
  TextBuilder out = run.builder();
  run.spend_bytes(static_cast<i64>(text.bytes.size()));
  Reader reader(text);
  i64 used = 0;
  bool by_name = false;
  while (!reader.done()) {
    copy_until(reader, out, text, "%");
    if (reader.done()) break;
    reader.next();
    if (reader.done()) refuse("incomplete format");
    run.spend(1);
    std::optional<Value> named;
    if (reader.skip('(')) {
      if (!values.is(Kind::dict)) refuse("format requires a mapping");
      const i64 begin = reader.at();
      for (int open = 1; open > 0;) {
        if (reader.done()) refuse("incomplete format key");
        const char c = reader.next();
        open += c == '(' ? 1 : c == ')' ? -1 : 0;
      }
      const Value* found = values.dict().find(
          std::string_view(text.bytes)
              .substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(reader.at() - begin - 1)));
      if (found == nullptr) refuse("the format names a key that is not there");
      named = *found;
      by_name = true;
    }
    Layout layout;
    bool zero = false;
    bool left = false;
    for (;; reader.next()) {
      const char flag = reader.peek();
      if (flag == '-')
        left = true;
      else if (flag == '+')
        layout.sign = '+';
      else if (flag == ' ')
        layout.sign = layout.sign == '+' ? '+' : ' ';
      else if (flag == '#')
        layout.alternate = true;
      else if (flag == '0')
        zero = true;
      else
        break;
    }
    const auto star = [&] {
      const i64 given = require_integer(percent_argument(run, values, used), "* wants int");
      if (given < -kMaxWidth || given > kMaxWidth) refuse("a width or precision of more than {}", kMaxWidth);
      return given;
    };
    if (reader.skip('*')) {
      layout.width = star();
      left = left || layout.width < 0;
      layout.width = std::abs(layout.width);
    } else {
      layout.width = reader.number();
    }
    if (reader.skip('.')) layout.precision = reader.skip('*') ? std::max(star(), i64{0}) : reader.number();
    while (reader.peek() == 'l' || reader.peek() == 'h' || reader.peek() == 'L') reader.next();
    if (reader.done()) refuse("incomplete format");
    layout.type = reader.next();
    if (layout.type == '%') {
      out.add("%");
      continue;
    }
    if (std::string_view("diuoxXeEfFgGcrsa").find(layout.type) == std::string_view::npos) {
      refuse("unsupported format character '{}'", layout.type);
    }
    percent_conversion(run, out, named ? *named : percent_argument(run, values, used), layout, zero, left,
                       text.markup);
  }
  const i64 there = values.is(Kind::tuple) ? length(run, values) : 1;
  if (used < there && !by_name && !values.is(Kind::dict) && !(values.is(Kind::list) && used == 0)) {
    refuse("not all arguments converted during string formatting");
  }
  return out.value(text.markup);
}

}  // namespace longsight::jinja
