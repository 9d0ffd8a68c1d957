#include "runtime/data/pretokenize.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <array>
#include <optional>

#include <pcre2.h>

#include "runtime/base/error.h"
#include "runtime/base/json.h"
#include "runtime/data/unicode.h"

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

namespace {

// A regular expression that is not one of the known ones.
class Regex {
 public:
  Regex(const std::string& pattern, const std::string& source) : pattern_(pattern), source_(source) {
    int error = 0;
    PCRE2_SIZE at = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr));
    require(code_ != nullptr, ExitCode::bad_data,
            "{}: the pattern {} of its pre_tokenizer is not understood: {} at byte {}", source, pattern,
            message(error), at);
    // Without a JIT the interpreter runs, with the same results.
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
    context_.reset(pcre2_match_context_create(nullptr));
    require(context_ != nullptr, ExitCode::internal, "out of memory");
    pcre2_set_match_limit(context_.get(), 1'000'000);
  }

  // Matches and what lies between them are pieces.
  void scan(std::string_view text, std::vector<i64>& ends) const {
    const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
        pcre2_match_data_create_from_pattern(code_.get(), nullptr), &pcre2_match_data_free);
    require(match != nullptr, ExitCode::internal, "out of memory");
    const auto cut = [&ends](i64 at) {
      if (at > 0 && (ends.empty() || ends.back() < at)) ends.push_back(at);
    };
    const std::size_t before = ends.size();
    for (PCRE2_SIZE from = 0; from < text.size();) {
      const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                    PCRE2_NO_UTF_CHECK, match.get(), context_.get());
      if (found == PCRE2_ERROR_NOMATCH) break;
      require(found > 0, ExitCode::bad_data,
              "{}: the pattern {} of its pre_tokenizer fails on a text of {} bytes: {}", source_, pattern_,
              text.size(), message(found));
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
      if (range[0] == range[1]) {  // an empty match cuts nothing
        from =
            range[1] +
            (range[1] < text.size() ? static_cast<PCRE2_SIZE>(code_point(text.data() + range[1]).bytes) : 1);
        continue;
      }
      cut(static_cast<i64>(range[0]));
      cut(static_cast<i64>(range[1]));
      from = range[1];
    }
    if (ends.size() == before || ends.back() < static_cast<i64>(text.size()))
      cut(static_cast<i64>(text.size()));
  }

 private:
  static std::string message(int error) {
    std::array<PCRE2_UCHAR, 256> text{};
    pcre2_get_error_message(error, text.data(), text.size());
    return reinterpret_cast<const char*>(text.data());
  }

  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  };
  std::string pattern_, source_;
  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_context, Free> context_;
};

bool flag(const Json& description, const char* key, bool otherwise, const std::string& source) {
  const auto found = description.find(key);
  if (found == description.end()) return otherwise;
  require(found->is_boolean(), ExitCode::bad_data, "{}: pre_tokenizer: {} is not true or false", source, key);
  return found->get<bool>();
}

}  // namespace

// One cut: the pieces so far are cut again.
class PreTokenizer::Step {
 public:
  bool prefix_space = false;
  std::optional<Pattern> pattern;
  std::unique_ptr<Regex> regex;

  void scan(std::string_view text, std::vector<i64>& ends) const {
    if (regex) return regex->scan(text, ends);
    if (pattern) return data::scan(*pattern, text, ends);
    ends.push_back(static_cast<i64>(text.size()));
  }
};

PreTokenizer::PreTokenizer(const Json& description, const std::string& source) {
  require(description.is_object(), ExitCode::bad_data,
          "{}: no pre_tokenizer; only byte-level BPE (pre_tokenizer ByteLevel) is supported", source);
  add(description, source);
  require(byte_level_, ExitCode::bad_data,
          "{}: the pre_tokenizer has no ByteLevel; only byte-level BPE is supported", source);
}
PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;

void PreTokenizer::add(const Json& description, const std::string& source) {
  const std::string type = description.is_object() ? description.value("type", Json()).dump() : "";
  require(!byte_level_, ExitCode::bad_data, "{}: pre_tokenizer: {} behind ByteLevel is not supported", source,
          type);
  auto step = std::make_unique<Step>();
  if (type == "\"Sequence\"") {
    const auto parts = description.find("pretokenizers");
    require(parts != description.end() && parts->is_array(), ExitCode::bad_data,
            "{}: pre_tokenizer: Sequence without a list of pretokenizers", source);
    for (const Json& part : *parts) add(part, source);
    return;
  }
  if (type == "\"ByteLevel\"") {
    byte_level_ = true;
    step->prefix_space = flag(description, "add_prefix_space", true, source);
    if (flag(description, "use_regex", true, source)) step->pattern = Pattern::gpt2;
  } else if (type == "\"Digits\"") {
    step->pattern =
        flag(description, "individual_digits", false, source) ? Pattern::digits : Pattern::digit_runs;
  } else if (type == "\"Split\"") {
    const Json pattern = description.value("pattern", Json());
    require(pattern.is_object() && pattern.contains("Regex") && pattern["Regex"].is_string(),
            ExitCode::bad_data, "{}: pre_tokenizer: Split without a Regex pattern is not supported", source);
    const Json behavior = description.value("behavior", Json());
    require(behavior == "Isolated" && !flag(description, "invert", false, source), ExitCode::bad_data,
            "{}: pre_tokenizer: Split with behavior {} is not supported, only Isolated without invert",
            source, behavior.dump());
    const std::string text = pattern["Regex"].get<std::string>();
    if (text == kGpt2Text) {
      step->pattern = Pattern::gpt2;
    } else if (text == kQwen2Text) {
      step->pattern = Pattern::qwen2;
    } else if (text == kLlama3Text) {
      step->pattern = Pattern::llama3;
    } else {
      step->regex = std::make_unique<Regex>(text, source);
    }
  } else {
    fail(ExitCode::bad_data,
         "{}: pre_tokenizer type {} is not supported (ByteLevel, Split, Digits and Sequence are)", source,
         type.empty() ? description.dump() : type);
  }
  steps_.push_back(std::move(step));
}

void PreTokenizer::split(std::string_view text, std::vector<Piece>& pieces) const {
  pieces.assign(text.empty() ? 0 : 1, Piece{0, static_cast<i64>(text.size()), false});
  std::vector<Piece> cut;
  std::vector<i64> ends;
  std::string with_prefix;
  for (const auto& step : steps_) {
    if (!step->pattern && !step->regex && !step->prefix_space) continue;
    cut.clear();
    for (const Piece& piece : pieces) {
      std::string_view part = text.substr(static_cast<std::size_t>(piece.begin),
                                          static_cast<std::size_t>(piece.end - piece.begin));
      const bool prefix = step->prefix_space && part.front() != ' ';
      if (prefix) part = with_prefix.assign(1, ' ').append(part);
      ends.clear();
      step->scan(part, ends);
      // A prefix is the first byte of the first part, and no byte of the text.
      i64 begin = 0;
      for (const i64 end : ends) {
        cut.push_back(
            {piece.begin + begin - (prefix && begin > 0), piece.begin + end - prefix, prefix && begin == 0});
        begin = end;
      }
    }
    pieces.swap(cut);
  }
}

}  // namespace longsight::data
