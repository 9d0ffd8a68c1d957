// str() and repr().
#include <charconv>
#include <cmath>

#include "runtime/jinja/python/characters.h"
#include "runtime/jinja/python/python.h"

namespace longsight::jinja {
namespace {

void repr_of_string(TextBuilder& out, const Text& text) {
  const bool double_quotes =
      text.bytes.find('\'') != std::string::npos && text.bytes.find('"') == std::string::npos;
  const char quote = double_quotes ? '"' : '\'';
  if (text.markup) out.add("Markup(");
  out.add(std::string_view(&quote, 1));
  const auto size = static_cast<i64>(text.bytes.size());
  for (i64 at = 0; at < size;) {
    const std::string_view c = character_at(text.bytes, at);
    const auto bytes = static_cast<i64>(c.size());
    const char32_t code = code_point(c);
    std::string made;
    if (c[0] == quote || c[0] == '\\') {
      made = {'\\', c[0]};
    } else if (code == '\n') {
      made = "\\n";
    } else if (code == '\r') {
      made = "\\r";
    } else if (code == '\t') {
      made = "\\t";
    } else if (!is_printable(code)) {
      const auto number = static_cast<unsigned>(code);
      made = code < 0x100     ? fmt::format("\\x{:02x}", number)
             : code < 0x10000 ? fmt::format("\\u{:04x}", number)
                              : fmt::format("\\U{:08x}", number);
    }
    if (made.empty()) {
      out.add(text, at, at + bytes);
    } else {
      out.add(made, text.origin(at));
    }
    at += bytes;
  }
  out.add(std::string_view(&quote, 1));
  if (text.markup) out.add(")");
}

void repr_of_items(Run& run, TextBuilder& out, const std::vector<Value>& items) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) out.add(", ");
    first = false;
    repr(run, out, item);
  }
}

void repr_of_object(Run& run, TextBuilder& out, Object& object) {
  if (auto* range = dynamic_cast<Range*>(&object)) {
    out.add(range->step == 1 ? fmt::format("range({}, {})", range->start, range->stop)
                             : fmt::format("range({}, {}, {})", range->start, range->stop, range->step));
    return;
  }
  if (auto* view = dynamic_cast<DictView*>(&object)) {
    out.add(view->type());
    out.add("([");
    Value each;
    for (i64 i = 0; view->element(run, i, each); ++i) {
      if (i > 0) out.add(", ");
      repr(run, out, each);
    }
    out.add("])");
    return;
  }
  if (auto* names = dynamic_cast<Namespace*>(&object)) {
    out.add("<Namespace {");
    for (std::size_t i = 0; i < names->members.items.size(); ++i) {
      if (i > 0) out.add(", ");
      const auto [name, value] = names->members.items[i];
      repr(run, out, name);
      out.add(": ");
      repr(run, out, value);
    }
    out.add("}>");
    return;
  }
  if (object.type() == "TemplateReference") return out.add("<TemplateReference None>");  // without a name
  refuse("a '{}' is printed, which has no text", object.type());
}

}  // namespace

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  // The shortest digits that give the value back, laid out as Python does.
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string digits(buffer, end);
  const std::size_t e = digits.find('e');
  const int exponent = std::stoi(digits.substr(e + 1));
  std::string sign;
  digits.resize(e);
  if (digits[0] == '-') {
    sign = "-";
    digits.erase(0, 1);
  }
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}{}e{}{:02}", sign, digits, exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  std::erase(digits, '.');
  const auto count = static_cast<int>(digits.size());
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1)
    return sign + digits + std::string(static_cast<std::size_t>(exponent + 1 - count), '0') + ".0";
  return sign + digits.substr(0, static_cast<std::size_t>(exponent + 1)) + "." +
         digits.substr(static_cast<std::size_t>(exponent + 1));
}

std::string quoted(std::string_view text) {
  TextBuilder out(INT64_MAX);
  Text whole;
  whole.bytes = text;
  whole.length = count_code_points(text);
  repr_of_string(out, whole);
  return out.take().bytes;
}

void repr(Run& run, TextBuilder& out, const Value& value) {
  const Nested nested(run);
  run.spend(1);
  switch (value.kind()) {
    case Kind::undefined:
      out.add("Undefined");
      return;
    case Kind::none:
      out.add("None");
      return;
    case Kind::boolean:
      out.add(value.as_bool() ? "True" : "False");
      return;
    case Kind::integer:
      out.add(std::to_string(value.as_integer()));
      return;
    case Kind::real:
      out.add(real_text(value.as_real()));
      return;
    case Kind::string:
      run.spend_bytes(static_cast<i64>(value.text().bytes.size()) * 8);
      repr_of_string(out, value.text());
      return;
    case Kind::list:
      out.add("[");
      repr_of_items(run, out, value.sequence().items);
      out.add("]");
      return;
    case Kind::tuple:
      out.add("(");
      repr_of_items(run, out, value.sequence().items);
      out.add(value.sequence().items.size() == 1 ? ",)" : ")");
      return;
    case Kind::dict: {
      out.add("{");
      bool first = true;
      for (const auto& [name, member] : value.dict().items) {
        if (!first) out.add(", ");
        first = false;
        repr(run, out, name);
        out.add(": ");
        repr(run, out, member);
      }
      out.add("}");
      return;
    }
    case Kind::object:
      repr_of_object(run, out, value.object());
      return;
  }
}

void print(Run& run, TextBuilder& out, const Value& value) {
  if (value.is(Kind::string)) {
    run.spend_bytes(static_cast<i64>(value.text().bytes.size()));
    out.add(value.text());
  } else if (!value.is(Kind::undefined)) {
    repr(run, out, value);
  }
}

Value str(Run& run, const Value& value) {
  if (value.is(Kind::string) && !value.text().markup) return value;
  TextBuilder out = run.builder();
  print(run, out, value);
  return out.value();
}

}  // namespace longsight::jinja
