#include "runtime/data/text/pattern_scan.h"

#include "runtime/data/text/unicode.h"

namespace longsight::data {
namespace {

constexpr std::string_view kGpt2Text =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Text =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Text =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// A position in the text with the class of the character there. At the end the class is kEnd.
constexpr unsigned kEnd = 16;
constexpr unsigned kOther = 0;

class Cursor {
 public:
  Cursor(std::string_view text, i64 at) : data_(text.data()), size_(static_cast<i64>(text.size())) {
    move_to(at);
  }

  i64 at() const { return at_; }
  char32_t value() const { return point_.value; }
  unsigned kind() const { return kind_; }  // kLetter, kNumber, kSpace, kOther or kEnd
  void next() { move_to(at_ + point_.bytes); }

  void move_to(i64 at) {
    at_ = at;
    if (at >= size_) {
      kind_ = kEnd;
      point_ = {0, 0};
      return;
    }
    point_ = code_point(data_ + at);
    kind_ = class_of(point_.value) & (kLetter | kNumber | kSpace);
  }

 private:
  const char* data_;
  i64 size_;
  i64 at_ = 0;
  CodePoint point_{0, 0};
  unsigned kind_ = kEnd;
};

// The end of the run of `kind` that the cursor stands in.
i64 end_of_run(Cursor cursor, unsigned kind) {
  while (cursor.kind() == kind) cursor.next();
  return cursor.at();
}

bool is_newline(char32_t c) {
  return c == '\r' || c == '\n';
}

// Lower case where the contractions need it: A-Z, and the long s, which folds to s.
char32_t fold(char32_t c) {
  return c >= 'A' && c <= 'Z' ? c + 32 : c == 0x17F ? U's' : c;
}

// The end of 's 't 're 've 'm 'll 'd at an apostrophe, or -1.
i64 end_of_contraction(Cursor cursor, bool ignore_case) {
  cursor.next();
  const char32_t first = ignore_case ? fold(cursor.value()) : cursor.value();
  if (cursor.kind() == kEnd) return -1;
  cursor.next();
  const i64 one = cursor.at();
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return one;
  if (cursor.kind() == kEnd) return -1;
  const char32_t second = ignore_case ? fold(cursor.value()) : cursor.value();
  cursor.next();
  return ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l') ? cursor.at()
                                                                                              : -1;
}

// \s+(?!\S)|\s+ : a run of spaces, less its last character if something other follows (and more than one is
// there).
i64 end_of_spaces(Cursor cursor) {
  const i64 begin = cursor.at();
  i64 last = begin;
  while (cursor.kind() == kSpace) {
    last = cursor.at();
    cursor.next();
  }
  return cursor.kind() == kEnd || last == begin ? cursor.at() : last;
}

i64 next_gpt2(const Cursor& start) {
  if (start.value() == '\'') {
    const i64 end = end_of_contraction(start, false);
    if (end >= 0) return end;
  }
  Cursor cursor = start;
  if (cursor.value() == ' ') cursor.next();
  if (cursor.kind() != kSpace && cursor.kind() != kEnd) return end_of_run(cursor, cursor.kind());
  return end_of_spaces(start);
}

i64 next_qwen(const Cursor& start, int most_digits) {
  if (start.value() == '\'') {
    const i64 end = end_of_contraction(start, true);
    if (end >= 0) return end;
  }
  if (start.kind() == kLetter) return end_of_run(start, kLetter);
  if (start.kind() == kNumber) {
    Cursor cursor = start;
    for (int i = 0; i < most_digits && cursor.kind() == kNumber; ++i) cursor.next();
    return cursor.at();
  }
  Cursor second = start;
  second.next();
  if (second.kind() == kLetter && !is_newline(start.value())) return end_of_run(second, kLetter);

  Cursor cursor = start.value() == ' ' ? second : start;
  if (cursor.kind() == kOther) {
    cursor.move_to(end_of_run(cursor, kOther));
    while (is_newline(cursor.value())) cursor.next();
    return cursor.at();
  }
  // Spaces up to and with the last line break among them.
  i64 behind_newline = -1;
  for (cursor = start; cursor.kind() == kSpace;) {
    const bool newline = is_newline(cursor.value());
    cursor.next();
    if (newline) behind_newline = cursor.at();
  }
  return behind_newline >= 0 ? behind_newline : end_of_spaces(start);
}

i64 next_digits(Cursor cursor, bool single) {
  if (cursor.kind() == kNumber) {
    if (!single) return end_of_run(cursor, kNumber);
    cursor.next();
    return cursor.at();
  }
  while (cursor.kind() != kNumber && cursor.kind() != kEnd) cursor.next();
  return cursor.at();
}

template <class Next>
void scan_with(std::string_view text, std::vector<i64>& ends, Next next) {
  const i64 size = static_cast<i64>(text.size());
  for (i64 at = 0; at < size;) {
    at = next(Cursor(text, at));
    ends.push_back(at);
  }
}

}  // namespace

void scan(Pattern pattern, std::string_view text, std::vector<i64>& ends) {
  switch (pattern) {
    case Pattern::gpt2:
      return scan_with(text, ends, [](const Cursor& c) { return next_gpt2(c); });
    case Pattern::qwen2:
      return scan_with(text, ends, [](const Cursor& c) { return next_qwen(c, 1); });
    case Pattern::llama3:
      return scan_with(text, ends, [](const Cursor& c) { return next_qwen(c, 3); });
    case Pattern::digits:
      return scan_with(text, ends, [](const Cursor& c) { return next_digits(c, true); });
    case Pattern::digit_runs:
      return scan_with(text, ends, [](const Cursor& c) { return next_digits(c, false); });
  }
}

std::optional<Pattern> pattern_of(std::string_view regex) {
  if (regex == kGpt2Text) return Pattern::gpt2;
  if (regex == kQwen2Text) return Pattern::qwen2;
  if (regex == kLlama3Text) return Pattern::llama3;
  return std::nullopt;
}

}  // namespace longsight::data
