#include "runtime/jinja/builtins/filters_text.h"

#include <algorithm>
#include <cmath>

#include "runtime/jinja/python/characters.h"
#include "runtime/jinja/python/parameters.h"
#include "runtime/jinja/python/string_methods.h"

namespace longsight::jinja::filter {
namespace {

// soft_str: markup stays markup.
Value soft(Run& run, const Value& value) {
  return value.is(Kind::string) ? value : str(run, value);
}

void no_arguments(Arguments&& arguments) {
  Parameters("the filter", std::move(arguments), {});
}

i64 size_of(const Text& text) {
  return static_cast<i64>(text.bytes.size());
}

}  // namespace

Value capitalize(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  return jinja::capitalize(run, soft(run, value).text());
}

Value center(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("center", std::move(arguments), {"width"});
  return pad(run, soft(run, value).text(), given.integer(0, 80), " ", Align::center);
}

Value escape(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  return jinja::escape(run, value);
}

Value forceescape(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  return jinja::escape(run, str(run, value));
}

Value format(Run& run, const Value& value, Arguments&& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    refuse("can't handle positional and keyword arguments at the same time");
  }
  Value values;
  if (arguments.named.empty()) {
    values = Value::tuple(std::move(arguments.positional));
  } else {
    values = Value::object(std::move(arguments.named));
  }
  return percent_format(run, soft(run, value).text(), values);
}

Value indent(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("indent", std::move(arguments), {"width", "first", "blank"});
  const Text& text = require_string(value, "the text to indent");
  const Value width = given.value(0, Value::integer(4));
  Value by = width;
  if (!width.is(Kind::string)) by = binary(run, Binary::multiply, Value::string(" "), width);
  if (text.markup && !by.text().markup) {
    TextBuilder marked = run.builder();
    marked.add(by.text());
    by = marked.value(true);
  } else if (!text.markup && by.text().markup) {
    refuse("a text is indented by markup, which is not supported");
  }
  const bool first = given.flag(run, 1);
  const bool blank = given.flag(run, 2);
  // jinja2 adds a line end, so that an empty last line counts.
  TextBuilder whole = run.builder();
  whole.add(text);
  whole.add("\n");
  const std::vector<Value> lines = split_lines(run, whole.take(), false);
  TextBuilder out = run.builder();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Text& line = lines[i].text();
    if (i > 0) out.add("\n");
    if (i == 0 ? first : blank || !line.bytes.empty()) {
      run.spend_bytes(size_of(by.text()));
      out.add(by.text());
    }
    run.spend_bytes(size_of(line));
    out.add(line);
  }
  return out.value(text.markup);
}

Value replace(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("replace", std::move(arguments), {"old", "new", "count"}, 2);
  const i64 count = given.has(2) && !given[2].is(Kind::none) ? require_integer(given[2], "count") : -1;
  const Value text = str(run, value);
  const Value old = str(run, given[0]);
  const Value by = str(run, given[1]);
  return jinja::replace(run, text.text(), old.text(), by.text(), count);
}

Value safe(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  const Value text = str(run, value);
  TextBuilder out = run.builder();
  out.add(text.text());
  return out.value(true);
}

Value string(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  return soft(run, value);
}

Value lower(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  return jinja::lower(run, soft(run, value).text());
}

Value upper(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  return jinja::upper(run, soft(run, value).text());
}

// Words begin behind - ( { [ < and spaces. Not title case: the first letter is in upper case, the rest of the
// word is put into lower case for itself (which a sigma notices).
Value title(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  const Value text = soft(run, value);
  const std::string_view bytes = text.text().bytes;
  const auto separates = [&](i64 at) {
    const char32_t c = code_point(character_at(bytes, at));
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  };
  i64 rest = 0;  // where the rest of the word begins
  bool begins = true;
  const Value result = map_characters(run, text.text(), [&](std::string_view character, i64 at) {
    const char32_t c = code_point(character);
    const i64 next = at + static_cast<i64>(character.size());
    if (std::exchange(begins, separates(at))) {
      rest = next;
      return begins ? std::string(character) : jinja::upper(c);
    }
    if (c != 0x3A3) return jinja::lower(c);
    i64 end = next;
    while (end < static_cast<i64>(bytes.size()) && !separates(end))
      end += static_cast<i64>(character_at(bytes, end).size());
    return lower_sigma(bytes.substr(static_cast<std::size_t>(rest), static_cast<std::size_t>(end - rest)),
                       at - rest);
  });
  return str(run, result);
}

Value tojson(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("tojson", std::move(arguments),
                         {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = given.flag(run, 0);
  style.sort_keys = given.flag(run, 3);
  if (given.has(1) && !given[1].is(Kind::none)) {
    if (given[1].is(Kind::string)) {
      style.indent = given[1].text().bytes;
    } else {
      const i64 width = require_integer(given[1], "indent");
      if (width > 1000) refuse("tojson: an indent of more than 1000");
      style.indent = std::string(static_cast<std::size_t>(std::max(width, i64{0})), ' ');
    }
    style.item_separator = ",";
  }
  if (given.has(2) && !given[2].is(Kind::none)) {
    const std::vector<Value> both = elements(run, given[2]);
    if (both.size() != 2) refuse("separators must be two texts");
    style.item_separator = require_string(both[0], "separator").bytes;
    style.key_separator = require_string(both[1], "separator").bytes;
  }
  return to_json(run, value, style);
}

Value trim(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("trim", std::move(arguments), {"chars"});
  return strip(run, soft(run, value).text(), given.value(0), true, true);
}

Value truncate(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("truncate", std::move(arguments), {"length", "killwords", "end", "leeway"});
  const i64 most = given.integer(0, 255);
  const Value end = given.value(2, Value::string("..."));
  const i64 end_length = length(run, end);
  const i64 leeway = given.has(3) && !given[3].is(Kind::none) ? require_integer(given[3], "leeway") : 5;
  if (most < end_length) refuse("expected length >= {}, got {}", end_length, most);
  if (leeway < 0) refuse("expected leeway >= 0, got {}", leeway);
  if (length(run, value) - leeway <= most) return value;
  Value kept = slice(run, value, {}, Value::integer(most - end_length), {});
  if (!given.flag(run, 1)) {
    kept = split(run, require_string(kept, "the text to truncate"), Value::string(" "), 1, true)[0];
  }
  return binary(run, Binary::add, kept, end);
}

Value urlencode(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  const auto encode = [&](TextBuilder& out, const Value& what, bool query) {
    const Value text = str(run, what);
    run.spend_bytes(size_of(text.text()) * 8);
    for (i64 at = 0; at < size_of(text.text()); ++at) {
      const char c = text.text().bytes[static_cast<std::size_t>(at)];
      const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query);
      if (plain) {
        out.add(text.text(), at, at + 1);
      } else {
        out.add(c == ' ' && query ? "+" : fmt::format("%{:02X}", static_cast<unsigned char>(c)),
                text.text().origin(at));
      }
    }
  };
  TextBuilder out = run.builder();
  if (value.is(Kind::string) || !iterable(value)) {
    encode(out, value, false);
    return out.value();
  }
  const bool mapping = value.is(Kind::dict);
  const std::vector<Value> items = elements(run, value);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::vector<Value> pair =
        mapping ? std::vector<Value>{items[i], *value.dict().find(run, items[i])} : elements(run, items[i]);
    if (pair.size() != 2) refuse("urlencode needs pairs");
    if (i > 0) out.add("&");
    encode(out, pair[0], true);
    out.add("=");
    encode(out, pair[1], true);
  }
  return out.value();
}

Value wordcount(Run& run, const Value& value, Arguments&& arguments) {
  no_arguments(std::move(arguments));
  const Value text = soft(run, value);
  run.spend_bytes(size_of(text.text()) * 8);
  i64 count = 0;
  bool inside = false;
  for (i64 at = 0; at < size_of(text.text());) {
    const std::string_view character = character_at(text.text().bytes, at);
    const bool word = is_word(code_point(character));
    count += word && !inside;
    inside = word;
    at += static_cast<i64>(character.size());
  }
  return Value::integer(count);
}

Value xmlattr(Run& run, const Value& value, Arguments&& arguments) {
  const Parameters given("xmlattr", std::move(arguments), {"autospace"});
  require_defined(value);
  if (!value.is(Kind::dict)) refuse("'{}' object has no attribute 'items'", type_name(value));
  TextBuilder out = run.builder();
  const bool space = given.flag(run, 0, true);
  for (const auto& [name, member] : value.dict().items) {
    if (member.is(Kind::none) || member.is(Kind::undefined)) continue;
    const std::string& key = require_string(name, "the name of an attribute").bytes;
    if (key.find_first_of(std::string_view(" \t\n\r\f\v/>=", 9)) != std::string::npos) {
      refuse("Invalid character in attribute name: {}", quoted(key));
    }
    if (out.size() > 0 || space) out.add(" ");
    out.add(jinja::escape(run, name).text());
    out.add("=\"");
    out.add(jinja::escape(run, member).text());
    out.add("\"");
  }
  return out.value();
}

}  // namespace longsight::jinja::filter
