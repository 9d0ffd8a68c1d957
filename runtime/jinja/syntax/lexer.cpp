#include "runtime/jinja/syntax/lexer.h"

#include <algorithm>
#include <charconv>

#include "runtime/jinja/python/characters.h"
#include "runtime/jinja/run.h"
#include "runtime/jinja/text.h"

namespace longsight::jinja {
namespace {

// Line ends become \n; the last one of a template does not count.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  Lexer(std::string_view source, int& line) : text_(normalized(source)), line_(line) {}

  std::vector<Token> run() {
    line_ = 1;
    while (at_ < text_.size()) root();
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(text_).substr(at_); }
  bool at(std::string_view what) const { return rest().starts_with(what); }

  void advance(std::size_t bytes) {
    const std::string_view passed = rest().substr(0, bytes);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    at_ += passed.size();
    if (!passed.empty()) line_starting_ = passed.back() == '\n';
  }

  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text), 0, 0}); }

  std::size_t spaces(std::size_t from) const {
    while (from < text_.size()) {
      const std::string_view c = character_at(text_, static_cast<i64>(from));
      if (!is_space(code_point(c))) break;
      from += c.size();
    }
    return from;
  }

  // The text in front of a tag that begins at `begin`, without the spaces that the tag takes.
  std::string text_before(std::size_t begin, char sign, bool variable) const {
    std::string_view text = std::string_view(text_).substr(at_, begin - at_);
    if (sign == '-') {
      std::size_t kept = 0;
      for (std::size_t i = 0; i < text.size();) {
        const std::string_view c = character_at(text, static_cast<i64>(i));
        i += c.size();
        if (!is_space(code_point(c))) kept = i;
      }
      return std::string(text.substr(0, kept));
    }
    if (sign == '+' || variable) return std::string(text);
    const std::size_t line = text.rfind('\n') + 1;
    if (line > 0 || line_starting_) {
      for (std::size_t i = line; i < text.size();) {
        const std::string_view c = character_at(text, static_cast<i64>(i));
        if (!is_space(code_point(c))) return std::string(text);
        i += c.size();
      }
      text = text.substr(0, line);
    }
    return std::string(text);
  }

  void add_data(std::string text) {
    if (!text.empty()) add(TokenKind::data, std::move(text));
  }

  static char sign_at(std::string_view text, std::size_t at) {
    return at < text.size() && (text[at] == '-' || text[at] == '+') ? text[at] : '\0';
  }

  void root() {
    std::size_t begin = at_;
    for (;; ++begin) {
      begin = text_.find('{', begin);
      if (begin == std::string::npos || begin + 1 >= text_.size()) {
        add_data(text_.substr(at_));
        advance(text_.size());
        return;
      }
      const char c = text_[begin + 1];
      if (c == '%' || c == '{' || c == '#') break;
    }
    const char kind = text_[begin + 1];
    const char sign = sign_at(text_, begin + 2);
    add_data(text_before(begin, sign, kind == '{'));
    const std::size_t behind = begin + 2 + (sign != '\0');
    const std::size_t raw = kind == '%' ? behind_raw(behind, "raw") : 0;
    if (raw != 0) {
      advance(raw - at_);
      raw_block();
    } else if (kind == '#') {
      advance(behind - at_);
      comment();
    } else {
      advance(begin - at_);
      add(kind == '%' ? TokenKind::block_begin : TokenKind::variable_begin, "");
      advance(behind - at_);
      tag(kind == '%');
    }
  }

  // The byte behind the end of a tag that holds only `word`, or 0.
  std::size_t behind_raw(std::size_t at, std::string_view word) const {
    at = spaces(at);
    if (!std::string_view(text_).substr(at).starts_with(word)) return 0;
    at = spaces(at + word.size());
    const std::string_view left = std::string_view(text_).substr(at);
    if (left.starts_with("-%}")) return spaces(at + 3);
    if (word == "endraw") {
      if (left.starts_with("+%}")) return at + 3;
      if (left.starts_with("%}")) return at + 2 + left.substr(2).starts_with('\n');
      return 0;
    }
    return left.starts_with("%}") ? at + 2 : 0;
  }

  void raw_block() {
    for (std::size_t begin = text_.find("{%", at_); begin != std::string::npos;
         begin = text_.find("{%", begin + 1)) {
      const char sign = sign_at(text_, begin + 2);
      const std::size_t behind = behind_raw(begin + 2 + (sign != '\0'), "endraw");
      if (behind == 0) continue;
      add_data(text_before(begin, sign, false));
      return advance(behind - at_);
    }
    refuse("Missing end of raw directive");
  }

  void comment() {
    const std::size_t end = text_.find("#}", at_);
    if (end == std::string::npos) refuse("Missing end of comment tag");
    const char sign = end > at_ ? text_[end - 1] : '\0';
    std::size_t behind = end + 2;
    if (sign == '-') {
      behind = spaces(behind);
    } else if (sign != '+' && std::string_view(text_).substr(behind).starts_with('\n')) {
      ++behind;
    }
    advance(behind - at_);
  }

  bool tag_end(bool block) {
    const std::string_view end = block ? "%}" : "}}";
    const bool strip = at("-") && rest().substr(1).starts_with(end);
    if (strip) {
      add(block ? TokenKind::block_end : TokenKind::variable_end, "");
      advance(spaces(at_ + 3) - at_);
      return true;
    }
    if (block && at("+%}")) {
      add(TokenKind::block_end, "");
      advance(3);
      return true;
    }
    if (!at(end)) return false;
    add(block ? TokenKind::block_end : TokenKind::variable_end, "");
    advance(block && rest().substr(2).starts_with('\n') ? 3 : 2);
    return true;
  }

  void tag(bool block) {
    std::string open;  // the closing brackets that are still to come
    while (at_ < text_.size()) {
      if (open.empty() && tag_end(block)) return;
      const std::string_view character = character_at(text_, static_cast<i64>(at_));
      const char32_t c = code_point(character);
      if (is_space(c)) {
        advance(spaces(at_) - at_);
      } else if (c >= '0' && c <= '9') {
        number();
      } else if (is_word(c)) {
        name();
      } else if (c == '\'' || c == '"') {
        string(static_cast<char>(c));
      } else {
        sign(character, open);
      }
    }
    // jinja2 notices the end of the template where the parser wants another token.
  }

  void name() {
    std::size_t end = at_;
    while (end < text_.size()) {
      const std::string_view c = character_at(text_, static_cast<i64>(end));
      if (!is_word(code_point(c))) break;
      end += c.size();
    }
    if (!is_letter(code_point(character_at(text_, static_cast<i64>(at_)))) && text_[at_] != '_') {
      refuse("Invalid character in identifier");
    }
    add(TokenKind::name, text_.substr(at_, end - at_));
    advance(end - at_);
  }

  // digits with single _ between them; their end, or `from`.
  std::size_t digits(std::size_t from, bool (*is)(char)) const {
    std::size_t end = from;
    while (end < text_.size()) {
      if (is(text_[end])) {
        ++end;
      } else if (text_[end] == '_' && end > from && end + 1 < text_.size() && is(text_[end + 1])) {
        ++end;
      } else {
        break;
      }
    }
    return end;
  }

  void number() {
    const auto decimal = [](char c) { return c >= '0' && c <= '9'; };
    const std::size_t whole = digits(at_, decimal);
    std::size_t end = whole;
    const auto fraction = [&](std::size_t from) {
      return from < text_.size() && text_[from] == '.' ? digits(from + 1, decimal) : from;
    };
    if (at_ == 0 || text_[at_ - 1] != '.') {
      if (const std::size_t behind = fraction(end); behind > end + 1) end = behind;
      if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
        std::size_t exponent = end + 1;
        if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
        if (const std::size_t behind = digits(exponent, decimal); behind > exponent) end = behind;
      }
    }
    if (end > whole) return real(end);
    integer(whole);
  }

  void real(std::size_t end) {
    std::string text = text_.substr(at_, end - at_);
    std::erase(text, '_');
    Token token{TokenKind::real, line_, text, 0, 0};
    const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), token.real);
    if (error == std::errc::result_out_of_range) {
      // Python: 1e400 is inf, 1e-400 is 0.
      token.real =
          text.find("e-") == std::string::npos && text.find("E-") == std::string::npos ? HUGE_VAL : 0;
    }
    tokens_.push_back(token);
    advance(end - at_);
  }

  void integer(std::size_t whole) {
    int base = 10;
    std::size_t begin = at_;
    std::size_t end = whole;
    const char letter =
        at_ + 1 < text_.size() && text_[at_] == '0' ? static_cast<char>(text_[at_ + 1] | 0x20) : '\0';
    const auto prefixed = [&](int of, bool (*is)(char)) {
      std::size_t from = at_ + 2;
      if (from < text_.size() && text_[from] == '_') ++from;
      const std::size_t behind = digits(from, is);
      if (behind == from) return;
      base = of;
      begin = from;
      end = behind;
    };
    if (letter == 'x')
      prefixed(16, [](char c) { return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); });
    if (letter == 'o') prefixed(8, [](char c) { return c >= '0' && c <= '7'; });
    if (letter == 'b') prefixed(2, [](char c) { return c == '0' || c == '1'; });
    // A zero in front of other digits is a number of its own.
    if (base == 10 && text_[at_] == '0') end = digits(at_, [](char c) { return c == '0'; });
    std::string text = text_.substr(begin, end - begin);
    std::erase(text, '_');
    Token token{TokenKind::integer, line_, text, 0, 0};
    const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), token.integer, base);
    if (error != std::errc{}) refuse("an integer beyond 64 bits");
    tokens_.push_back(token);
    advance(end - at_);
  }

  void string(char quote) {
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) refuse("unexpected char {} at {}", quoted_sign(quote), at_);
    add(TokenKind::string, unescaped(std::string_view(text_).substr(at_ + 1, end - at_ - 1)));
    advance(end + 1 - at_);
  }

  static std::string quoted_sign(char c) { return c == '\'' ? "\"'\"" : std::string("'") + c + "'"; }

  static std::string unescaped(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size();) {
      if (text[i] != '\\') {
        result += text[i++];
        continue;
      }
      const char c = text[i + 1];
      i += 2;
      constexpr std::string_view kFrom = "ntr\\'\"abfv";
      constexpr std::string_view kTo = "\n\t\r\\'\"\a\b\f\v";
      const auto number = [&](std::size_t most, int base, bool all) {
        std::size_t count = 0;
        char32_t value = 0;
        while (count < most && i + count < text.size()) {
          const char d = text[i + count];
          const int digit = d >= '0' && d <= '9'                     ? d - '0'
                            : (d | 0x20) >= 'a' && (d | 0x20) <= 'f' ? (d | 0x20) - 'a' + 10
                                                                     : 99;
          if (digit >= base) break;
          value = value * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
          ++count;
        }
        if (all && count < most) refuse("a string with a truncated \\{} escape", c);
        if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
          refuse("a string with half of a character (\\{})", c);
        i += count;
        append_utf8(result, value);
      };
      if (c == '\n') continue;
      if (const std::size_t known = kFrom.find(c); known != std::string_view::npos) {
        result += kTo[known];
      } else if (c == 'x') {
        number(2, 16, true);
      } else if (c == 'u') {
        number(4, 16, true);
      } else if (c == 'U') {
        number(8, 16, true);
      } else if (c >= '0' && c <= '7') {
        --i;
        number(3, 8, false);
      } else if (c == 'N') {
        refuse("strings with \\N{{..}} are not supported");
      } else {
        // Python keeps what it does not know. A character of several bytes is escaped first, so its backslash
        // stays too.
        result += '\\';
        result += c;
      }
    }
    return result;
  }

  void sign(std::string_view character, std::string& open) {
    constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    for (const std::string_view two : kTwo) {
      if (!at(two)) continue;
      add(TokenKind::sign, std::string(two));
      return advance(2);
    }
    if (kOne.find(character) == std::string_view::npos) refuse("unexpected char '{}' at {}", character, at_);
    const char c = character[0];
    if (c == '{') open += '}';
    if (c == '(') open += ')';
    if (c == '[') open += ']';
    if (c == '}' || c == ')' || c == ']') {
      if (open.empty()) refuse("unexpected '{}'", c);
      if (open.back() != c) refuse("unexpected '{}', expected '{}'", c, open.back());
      open.pop_back();
    }
    add(TokenKind::sign, std::string(character));
    advance(1);
  }

  std::string text_;
  int& line_;
  std::size_t at_ = 0;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view source, int& line) {
  return Lexer(source, line).run();
}

}  // namespace longsight::jinja
