// The methods of str.
#include "runtime/jinja/python/string_methods.h"

#include <algorithm>

#include "runtime/jinja/python/characters.h"
#include "runtime/jinja/python/parameters.h"

namespace longsight::jinja {
namespace {

// Bytes [begin, end) of text[start:stop]; begin > end where start lies behind the end.
struct Window {
  i64 begin, end;
};

Window window(const Text& text, const Parameters& given, std::size_t start, std::size_t stop) {
  const auto index = [&](std::size_t i, i64 otherwise) {
    if (!given.has(i) || given[i].is(Kind::none)) return otherwise;
    const i64 value = require_integer(given[i], "an index");
    return value < 0 ? std::max(value, -text.length) + text.length : value;
  };
  const i64 first = index(start, 0);
  const i64 behind = std::min(index(stop, text.length), text.length);
  if (first > text.length) return {1, 0};
  return {text.offset(first), first > behind ? -1 : text.offset(behind)};
}

i64 index_of(const Text& text, i64 offset) {
  return count_code_points(std::string_view(text.bytes).substr(0, static_cast<std::size_t>(offset)));
}

template <bool kFromRight>
i64 find(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("find", std::move(arguments), {"/sub", "/start", "/end"}, 1);
  const Text& text = self.text();
  const std::string& sub = require_string(given[0], "the text to find").bytes;
  const auto [begin, end] = window(text, given, 1, 2);
  run.spend_bytes(static_cast<i64>(text.bytes.size()));
  if (begin > end) return -1;
  const std::string_view within =
      std::string_view(text.bytes)
          .substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  const std::size_t found = kFromRight ? within.rfind(sub) : within.find(sub);
  return found == std::string_view::npos ? -1 : index_of(text, begin + static_cast<i64>(found));
}

template <bool kFromRight>
Value find_method_of(Run& run, const Value& self, Arguments&& arguments) {
  return Value::integer(find<kFromRight>(run, self, std::move(arguments)));
}

template <bool kFromRight>
Value index_method_of(Run& run, const Value& self, Arguments&& arguments) {
  const i64 found = find<kFromRight>(run, self, std::move(arguments));
  if (found < 0) refuse("substring not found");
  return Value::integer(found);
}

Value count_text(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("count", std::move(arguments), {"/sub", "/start", "/end"}, 1);
  const Text& text = self.text();
  const std::string& sub = require_string(given[0], "the text to count").bytes;
  const auto [begin, end] = window(text, given, 1, 2);
  run.spend_bytes(static_cast<i64>(text.bytes.size()));
  if (begin > end) return Value::integer(0);
  const std::string_view within =
      std::string_view(text.bytes)
          .substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  if (sub.empty()) return Value::integer(count_code_points(within) + 1);
  i64 result = 0;
  for (std::size_t at = within.find(sub); at != std::string_view::npos;
       at = within.find(sub, at + sub.size()))
    ++result;
  return Value::integer(result);
}

template <bool kAtEnd>
Value has_affix(Run& run, const Value& self, Arguments&& arguments) {
  constexpr std::string_view kName = kAtEnd ? "endswith" : "startswith";
  const Parameters given(kName, std::move(arguments), {"/affix", "/start", "/end"}, 1);
  const Text& text = self.text();
  const auto [begin, end] = window(text, given, 1, 2);
  const auto fits = [&, from = begin, to = end](const Value& affix) {
    require_defined(affix);
    if (!affix.is(Kind::string))
      refuse("{} first arg must be str or a tuple of str, not {}", kName, type_name(affix));
    if (from > to) return false;
    const std::string_view within =
        std::string_view(text.bytes)
            .substr(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
    return kAtEnd ? within.ends_with(affix.text().bytes) : within.starts_with(affix.text().bytes);
  };
  if (!given[0].is(Kind::tuple)) return Value::boolean(fits(given[0]));
  run.spend(length(run, given[0]));
  for (const Value& affix : given[0].sequence().items) {
    if (fits(affix)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

template <bool kAtEnd>
Value without_affix(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given(kAtEnd ? "removesuffix" : "removeprefix", std::move(arguments), {"/affix"}, 1);
  const Text& text = self.text();
  const std::string& affix = require_string(given[0], "the affix").bytes;
  const auto size = static_cast<i64>(text.bytes.size());
  const auto cut = static_cast<i64>(affix.size());
  TextBuilder out = run.builder();
  run.spend_bytes(size);
  if (kAtEnd) {
    out.add(text, 0, text.bytes.ends_with(affix) ? size - cut : size);
  } else {
    out.add(text, text.bytes.starts_with(affix) ? cut : 0, size);
  }
  return out.value(text.markup);
}

template <bool kLeft, bool kRight>
Value strip_method(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("strip", std::move(arguments), {"/chars"});
  return strip(run, self.text(), given.value(0), kLeft, kRight);
}

template <bool kFromRight>
Value split_method(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("split", std::move(arguments), {"sep", "maxsplit"});
  return Value::list(split(run, self.text(), given.value(0), given.integer(1, -1), kFromRight));
}

Value splitlines(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("splitlines", std::move(arguments), {"keepends"});
  return Value::list(split_lines(run, self.text(), given.flag(run, 0)));
}

template <bool kFromRight>
Value partition(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("partition", std::move(arguments), {"/sep"}, 1);
  require_string(given[0], "the separator");
  std::vector<Value> parts = split(run, self.text(), given[0], 1, kFromRight);
  const Value nothing = Value::string("");
  if (parts.size() == 1) {
    return kFromRight ? Value::tuple({nothing, nothing, self}) : Value::tuple({self, nothing, nothing});
  }
  return Value::tuple({parts[0], given[0], parts[1]});
}

Value replace_method(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("replace", std::move(arguments), {"/old", "/new", "/count"}, 2);
  require_string(given[0], "replace() argument 1");
  require_string(given[1], "replace() argument 2");
  const Value by = self.text().markup ? escape(run, given[1]) : given[1];
  return replace(run, self.text(), given[0].text(), by.text(), given.integer(2, -1));
}

Value join(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("join", std::move(arguments), {"/iterable"}, 1);
  TextBuilder out = run.builder();
  Cursor cursor(run, given[0]);
  Value each;
  const bool markup = self.text().markup;
  for (i64 i = 0; cursor.next(run, each); ++i) {
    if (markup) each = escape(run, each);
    if (!each.is(Kind::string))
      refuse("sequence item {}: expected str instance, {} found", i, type_name(each));
    run.spend_bytes(static_cast<i64>(self.text().bytes.size() + each.text().bytes.size()));
    if (i > 0) out.add(self.text());
    out.add(each.text());
  }
  return out.value(markup);
}

template <Value (*kChange)(Run&, const Text&)>
Value changed(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("the method", std::move(arguments), {});
  return kChange(run, self.text());
}

Value title_case(Run& run, const Text& text) {
  bool in_word = false;
  return map_characters(run, text, [&](std::string_view character, i64 at) {
    const char32_t c = code_point(character);
    std::string made = !in_word ? title(c) : c == 0x3A3 ? lower_sigma(text.bytes, at) : lower(c);
    in_word = is_cased(c);
    return made;
  });
}

Value swap_case(Run& run, const Text& text) {
  return map_characters(run, text, [&](std::string_view character, i64 at) {
    const char32_t c = code_point(character);
    if (c == 0x3A3) return lower_sigma(text.bytes, at);
    return is_upper(c) ? lower(c) : is_lower(c) ? upper(c) : std::string(character);
  });
}

Value case_fold(Run& run, const Text& text) {
  return map_characters(run, text,
                        [](std::string_view character, i64) { return folded(code_point(character)); });
}

template <Align kAlign>
Value pad_method(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("the method", std::move(arguments), {"/width", "/fillchar"}, 1);
  const Value fill = given.value(1, Value::string(" "));
  if (require_string(fill, "the fill character").length != 1) {
    refuse("the fill character must be exactly one character long");
  }
  return pad(run, self.text(), require_integer(given[0], "width"), fill.text().bytes, kAlign);
}

Value zfill(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("zfill", std::move(arguments), {"/width"}, 1);
  const Text& text = self.text();
  const i64 missing = require_integer(given[0], "width") - text.length;
  const bool sign = text.bytes.starts_with('+') || text.bytes.starts_with('-');
  TextBuilder out = run.builder();
  run.spend_bytes(static_cast<i64>(text.bytes.size()));
  out.add(text, 0, sign ? 1 : 0);
  for (i64 i = 0; i < missing; ++i) {
    run.spend(1);
    out.add("0");
  }
  out.add(text, sign ? 1 : 0, static_cast<i64>(text.bytes.size()));
  return out.value(text.markup);
}

// Whether there are characters and all of them are of a class.
template <bool (*kIs)(char32_t), bool kEmpty = false>
Value all_of(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("the method", std::move(arguments), {});
  const std::string& bytes = self.text().bytes;
  run.spend_bytes(static_cast<i64>(bytes.size()) * 8);
  for (i64 at = 0; at < static_cast<i64>(bytes.size());) {
    const std::string_view character = character_at(bytes, at);
    if (!kIs(code_point(character))) return Value::boolean(false);
    at += static_cast<i64>(character.size());
  }
  return Value::boolean(kEmpty || !bytes.empty());
}

bool is_letter_or_number(char32_t c) {
  return is_letter(c) || is_numeric(c);
}
bool is_ascii(char32_t c) {
  return c < 0x80;
}

Value isidentifier(Run& run, const Value& self, Arguments&& arguments) {
  const std::string& bytes = self.text().bytes;
  if (!bytes.empty() && is_decimal(code_point(character_at(bytes, 0)))) return Value::boolean(false);
  return all_of<is_word>(run, self, std::move(arguments));
}

template <bool (*kIs)(char32_t)>
Value all_cased(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("the method", std::move(arguments), {});
  const std::string& bytes = self.text().bytes;
  run.spend_bytes(static_cast<i64>(bytes.size()) * 8);
  bool any = false;
  for (i64 at = 0; at < static_cast<i64>(bytes.size());) {
    const std::string_view character = character_at(bytes, at);
    const char32_t c = code_point(character);
    if (is_cased(c) && !kIs(c)) return Value::boolean(false);
    any = any || kIs(c);
    at += static_cast<i64>(character.size());
  }
  return Value::boolean(any);
}

Value istitle(Run& run, const Value& self, Arguments&& arguments) {
  const Parameters given("istitle", std::move(arguments), {});
  const std::string& bytes = self.text().bytes;
  run.spend_bytes(static_cast<i64>(bytes.size()) * 8);
  bool any = false;
  bool in_word = false;
  for (i64 at = 0; at < static_cast<i64>(bytes.size());) {
    const std::string_view character = character_at(bytes, at);
    const char32_t c = code_point(character);
    if (((is_upper(c) || is_title(c)) && in_word) || (is_lower(c) && !in_word)) return Value::boolean(false);
    in_word = is_cased(c);
    any = any || in_word;
    at += static_cast<i64>(character.size());
  }
  return Value::boolean(any);
}

Value format(Run& run, const Value& self, Arguments&& arguments) {
  return brace_format(run, self.text(), arguments);
}

Value unsupported(Run&, const Value&, Arguments&&) {
  refuse("the methods encode, expandtabs, format_map, maketrans and translate of str are not supported");
}

struct StringMethod {
  std::string_view name;
  Function::Body body;
};

// In the order of their names.
constexpr StringMethod kStringMethods[] = {
    {"capitalize", changed<capitalize>},
    {"casefold", changed<case_fold>},
    {"center", pad_method<Align::center>},
    {"count", count_text},
    {"encode", unsupported},
    {"endswith", has_affix<true>},
    {"expandtabs", unsupported},
    {"find", find_method_of<false>},
    {"format", format},
    {"format_map", unsupported},
    {"index", index_method_of<false>},
    {"isalnum", all_of<is_letter_or_number>},
    {"isalpha", all_of<is_letter>},
    {"isascii", all_of<is_ascii, true>},
    {"isdecimal", all_of<is_decimal>},
    {"isdigit", all_of<is_digit>},
    {"isidentifier", isidentifier},
    {"islower", all_cased<is_lower>},
    {"isnumeric", all_of<is_numeric>},
    {"isprintable", all_of<is_printable, true>},
    {"isspace", all_of<is_space>},
    {"istitle", istitle},
    {"isupper", all_cased<is_upper>},
    {"join", join},
    {"ljust", pad_method<Align::left>},
    {"lower", changed<lower>},
    {"lstrip", strip_method<true, false>},
    {"maketrans", unsupported},
    {"partition", partition<false>},
    {"removeprefix", without_affix<false>},
    {"removesuffix", without_affix<true>},
    {"replace", replace_method},
    {"rfind", find_method_of<true>},
    {"rindex", index_method_of<true>},
    {"rjust", pad_method<Align::right>},
    {"rpartition", partition<true>},
    {"rsplit", split_method<true>},
    {"rstrip", strip_method<false, true>},
    {"split", split_method<false>},
    {"splitlines", splitlines},
    {"startswith", has_affix<false>},
    {"strip", strip_method<true, true>},
    {"swapcase", changed<swap_case>},
    {"title", changed<title_case>},
    {"translate", unsupported},
    {"upper", changed<upper>},
    {"zfill", zfill},
};

}  // namespace

Function::Body find_string_method(std::string_view name, std::string_view& kept_name) {
  const auto* found = std::lower_bound(
      std::begin(kStringMethods), std::end(kStringMethods), name,
      [](const StringMethod& method, std::string_view value) { return method.name < value; });
  if (found == std::end(kStringMethods) || found->name != name) return nullptr;
  kept_name = found->name;
  return found->body;
}

}  // namespace longsight::jinja
