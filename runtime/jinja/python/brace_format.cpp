// text.format(..).
#include "runtime/jinja/python/format_number.h"
#include "runtime/jinja/python/format_reader.h"
#include "runtime/jinja/python/python.h"

namespace longsight::jinja {
namespace {

// [[fill]align][sign][#][0][width][grouping][.precision][type]
Layout layout_of(const Text& spec) {
  Layout layout;
  Reader reader(spec);
  const auto aligns = [](char c) { return c == '<' || c == '>' || c == '=' || c == '^'; };
  if (!reader.done()) {
    const std::string_view first = character_at(spec.bytes, 0);
    if (first.size() < spec.bytes.size() && aligns(spec.bytes[first.size()])) {
      layout.fill = reader.character();
      layout.align = reader.next();
    } else if (aligns(reader.peek())) {
      layout.align = reader.next();
    }
  }
  if (reader.peek() == '+' || reader.peek() == '-' || reader.peek() == ' ') layout.sign = reader.next();
  layout.alternate = reader.skip('#');
  if (reader.skip('0')) {
    if (layout.align == 0) {
      layout.align = '=';
      layout.fill = "0";
    }
  }
  layout.width = reader.number();
  if (reader.peek() == ',' || reader.peek() == '_') layout.grouping = reader.next();
  if (reader.skip('.')) {
    if (!reader.digit()) refuse("Format specifier missing precision");
    layout.precision = reader.number();
  }
  if (!reader.done()) layout.type = reader.next();
  if (!reader.done()) refuse("Invalid format specifier");
  return layout;
}

void format_value(Run& run, TextBuilder& out, const Value& value, const Text& spec, bool markup) {
  if (spec.bytes.empty()) {
    const Value text = markup ? escape(run, value) : str(run, value);
    return out.add(text.text());
  }
  const auto unknown = [&](char type) {
    refuse("Unknown format code '{}' for object of type '{}'", type, type_name(value));
  };
  Layout layout = layout_of(spec);
  if (value.is(Kind::string)) {
    if (layout.type != 0 && layout.type != 's') unknown(layout.type);
    if (layout.align == '=' && layout.fill == "0") layout.align = '<';  // 0 before the width
    if (layout.align == '=' || layout.sign != '-' || layout.alternate || layout.grouping != 0) {
      refuse("not allowed in string format specifier");
    }
    const Value text = markup ? escape(run, value) : value;
    return add_padded(run, out, text.text(), layout);
  }
  if (!is_number(value)) refuse("unsupported format string passed to {}.__format__", type_name(value));
  run.spend(layout.width / 16);
  const bool as_real =
      value.is(Kind::real) || std::string_view("eEfFgG%").find(layout.type) != std::string_view::npos;
  if (as_real && layout.type != 0) {
    if (std::string_view("eEfFgGn%").find(layout.type) == std::string_view::npos) unknown(layout.type);
    return add_padded(out, real_digits(real_of(value), layout), layout);
  }
  if (value.is(Kind::real)) return add_padded(out, real_digits(value.as_real(), layout), layout);
  if (layout.type != 0 && std::string_view("bcdoxXn").find(layout.type) == std::string_view::npos)
    unknown(layout.type);
  add_padded(out, integer_digits(integer_of(value), layout), layout);
}

class BraceFormat {
 public:
  BraceFormat(Run& run, const Text& text, const Arguments& arguments)
      : run_(run), text_(text), arguments_(arguments) {}

  Value format() {
    TextBuilder out = run_.builder();
    run_.spend_bytes(static_cast<i64>(text_.bytes.size()));
    Reader reader(text_);
    while (!reader.done()) {
      copy_until(reader, out, text_, "{}");
      if (reader.done()) break;
      const char c = reader.next();
      if (reader.skip(c)) {
        out.add(std::string_view(&c, 1));
      } else if (c == '}') {
        refuse("Single '}}' encountered in format string");
      } else {
        field(reader, out);
      }
    }
    return out.value(text_.markup);
  }

 private:
  void field(Reader& reader, TextBuilder& out) {
    run_.spend(1);
    const i64 begin = reader.at();
    int brackets = 0;
    while (!reader.done() &&
           (brackets > 0 || std::string_view("!:}{").find(reader.peek()) == std::string_view::npos)) {
      const char c = reader.next();
      brackets += c == '[' ? 1 : c == ']' ? -1 : 0;
    }
    Value value = field_value(
        std::string_view(text_.bytes)
            .substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(reader.at() - begin)));
    if (reader.skip('!')) {
      const char how = reader.done() ? '\0' : reader.next();
      if (how == 'r') {
        TextBuilder shown = run_.builder();
        repr(run_, shown, value);
        value = shown.value();
      } else if (how == 's') {
        value = str(run_, value);
      } else {
        refuse("Unknown conversion specifier '{}'", how);
      }
    }
    Text spec;
    if (reader.skip(':')) {
      TextBuilder made = run_.builder();
      while (!reader.done() && reader.peek() != '}') {
        copy_until(reader, made, text_, "{}");
        if (reader.skip('{')) {
          const i64 from = reader.at();
          while (!reader.done() && reader.peek() != '}') reader.next();
          const Value inner = field_value(
              std::string_view(text_.bytes)
                  .substr(static_cast<std::size_t>(from), static_cast<std::size_t>(reader.at() - from)));
          print(run_, made, inner);
          if (!reader.skip('}')) refuse("expected '}}' before end of string");
        }
      }
      spec = made.take();
    }
    if (!reader.skip('}')) refuse("expected '}}' before end of string");
    format_value(run_, out, value, spec, text_.markup);
  }

  Value field_value(std::string_view name) {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = first(name.substr(0, end));
    std::string_view rest = name.substr(end);
    while (!rest.empty()) {
      if (rest[0] == '.') {
        const std::size_t stop = std::min(rest.find_first_of(".[", 1), rest.size());
        if (stop == 1) refuse("Empty attribute in format string");
        value = attribute(run_, value, Value::string(std::string(rest.substr(1, stop - 1))));
        rest.remove_prefix(stop);
      } else {
        const std::size_t stop = rest.find(']');
        if (rest[0] != '[' || stop == std::string_view::npos || stop == 1)
          refuse("Missing ']' in format string");
        const std::string_view key = rest.substr(1, stop - 1);
        value = item(
            run_, value,
            numeric(key) ? Value::integer(std::stoll(std::string(key))) : Value::string(std::string(key)));
        rest.remove_prefix(stop + 1);
      }
    }
    return value;
  }

  static bool numeric(std::string_view text) {
    return !text.empty() && text.size() < 10 &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
  }

  Value first(std::string_view name) {
    if (name.empty() || numeric(name)) {
      const bool counted = name.empty();
      if (counted ? manual_ : automatic_)
        refuse("cannot switch between automatic field numbering and manual field specification");
      (counted ? automatic_ : manual_) = true;
      const std::size_t index = counted ? next_++ : static_cast<std::size_t>(std::stoll(std::string(name)));
      if (index >= arguments_.positional.size())
        refuse("Replacement index {} out of range for positional args tuple", index);
      return arguments_.positional[index];
    }
    for (const auto& [key, value] : arguments_.named) {
      if (key == name) return value;
    }
    refuse("the format names {}, which is not given", quoted(name));
  }

  Run& run_;
  const Text& text_;
  const Arguments& arguments_;
  std::size_t next_ = 0;
  bool automatic_ = false;
  bool manual_ = false;
};

}  // namespace

Value brace_format(Run& run, const Text& text, const Arguments& arguments) {
  return BraceFormat(run, text, arguments).format();
}

}  // namespace longsight::jinja
