#include "runtime/jinja/python/characters.h"

#include <algorithm>
#include <span>

#include <utf8proc.h>

#include "runtime/jinja/python/characters_table.h"
#include "runtime/jinja/text.h"

namespace longsight::jinja {
namespace {

struct Interval {
  char32_t first, last;
};

// Digits that are no decimals, cased characters that are neither Ll, Lu nor Lt (Other_Lowercase,
// Other_Uppercase).
constexpr Interval kOtherDigits[] = {
    {178, 179},     {185, 185},     {4969, 4977},   {6618, 6618},   {8304, 8304},
    {8308, 8313},   {8320, 8329},   {9312, 9320},   {9332, 9340},   {9352, 9360},
    {9450, 9450},   {9461, 9469},   {9471, 9471},   {10102, 10110}, {10112, 10120},
    {10122, 10130}, {68160, 68163}, {69216, 69224}, {69714, 69722}, {127232, 127242},
};
constexpr Interval kOtherLower[] = {
    {170, 170},     {186, 186},     {688, 696},     {704, 705},     {736, 740},     {837, 837},
    {890, 890},     {7468, 7530},   {7544, 7544},   {7579, 7615},   {8305, 8305},   {8319, 8319},
    {8336, 8348},   {8560, 8575},   {9424, 9449},   {11388, 11389}, {42652, 42653}, {42864, 42864},
    {43000, 43001}, {43868, 43871}, {67456, 67456}, {67459, 67461}, {67463, 67504}, {67506, 67514},
};
constexpr Interval kOtherUpper[] = {
    {8544, 8559}, {9398, 9423}, {127280, 127305}, {127312, 127337}, {127344, 127369},
};

bool within(std::span<const Interval> intervals, char32_t c) {
  const auto behind =
      std::upper_bound(intervals.begin(), intervals.end(), c,
                       [](char32_t value, const Interval& each) { return value < each.first; });
  return behind != intervals.begin() && c <= std::prev(behind)->last;
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

const LongCase* long_case(char32_t c) {
  const LongCase* end = kLongCases + kLongCaseCount;
  const LongCase* found = std::lower_bound(
      kLongCases, end, c, [](const LongCase& each, char32_t value) { return each.character < value; });
  return found != end && found->character == c ? found : nullptr;
}

std::string one(utf8proc_int32_t c) {
  std::string text;
  append_utf8(text, static_cast<char32_t>(c));
  return text;
}

// Passed over when a sigma looks for the letters around it (Unicode: Case_Ignorable).
bool is_case_ignorable(char32_t c) {
  constexpr std::string_view kAscii = "'.:^`";
  if (c < 0x80) return kAscii.find(static_cast<char>(c)) != std::string_view::npos;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return c == 0xB7 || c == 0x387 || c == 0x55F || c == 0x5F4 || c == 0x2018 || c == 0x2019 ||
             c == 0x2024 || c == 0x2027;
  }
}

}  // namespace

char32_t code_point(std::string_view character) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(character[i]));
  };
  switch (character.size()) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1F) << 6 | (byte(1) & 0x3F);
    case 3:
      return (byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    default:
      return (byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  }
}

void append_utf8(std::string& text, char32_t c) {
  utf8proc_uint8_t bytes[4];
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool ends_line(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_letter(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  const auto of = category(c);
  return of >= UTF8PROC_CATEGORY_LU && of <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) {
  return c < 0x80 ? c >= '0' && c <= '9' : category(c) == UTF8PROC_CATEGORY_ND;
}
bool is_digit(char32_t c) {
  return is_decimal(c) || within(kOtherDigits, c);
}
// Without the Chinese numerals, which are letters.
bool is_numeric(char32_t c) {
  return is_digit(c) || category(c) == UTF8PROC_CATEGORY_NL || category(c) == UTF8PROC_CATEGORY_NO;
}
bool is_word(char32_t c) {
  return c == '_' || is_letter(c) || is_numeric(c);
}

bool is_lower(char32_t c) {
  return c < 0x80 ? c >= 'a' && c <= 'z' : category(c) == UTF8PROC_CATEGORY_LL || within(kOtherLower, c);
}
bool is_upper(char32_t c) {
  return c < 0x80 ? c >= 'A' && c <= 'Z' : category(c) == UTF8PROC_CATEGORY_LU || within(kOtherUpper, c);
}
bool is_title(char32_t c) {
  return c >= 0x80 && category(c) == UTF8PROC_CATEGORY_LT;
}

std::string upper(char32_t c) {
  if (const LongCase* long_form = long_case(c)) return long_form->upper;
  return one(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

std::string title(char32_t c) {
  if (const LongCase* long_form = long_case(c)) return long_form->title;
  return one(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
}

std::string lower(char32_t c) {
  if (c == 0x130) return "i\u0307";
  return one(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

std::string folded(char32_t c) {
  utf8proc_int32_t buffer[8];
  int boundary = 0;
  const auto count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), buffer, 8, UTF8PROC_CASEFOLD, &boundary);
  std::string text;
  for (utf8proc_ssize_t i = 0; i < count; ++i) append_utf8(text, static_cast<char32_t>(buffer[i]));
  return text;
}

std::string lower_sigma(std::string_view text, i64 at) {
  const auto previous = [&](i64 i) {
    do --i;
    while (i > 0 && (static_cast<unsigned char>(text[static_cast<std::size_t>(i)]) & 0xC0) == 0x80);
    return i;
  };
  i64 before = at;
  bool behind_letter = false;
  while (before > 0) {
    before = previous(before);
    const char32_t c = code_point(character_at(text, before));
    if (is_case_ignorable(c)) continue;
    behind_letter = is_cased(c);
    break;
  }
  if (!behind_letter) return "\u03C3";
  for (i64 i = at + 2; i < static_cast<i64>(text.size());) {
    const std::string_view character = character_at(text, i);
    const char32_t c = code_point(character);
    i += static_cast<i64>(character.size());
    if (is_case_ignorable(c)) continue;
    return is_cased(c) ? "\u03C3" : "\u03C2";
  }
  return "\u03C2";
}

}  // namespace longsight::jinja
