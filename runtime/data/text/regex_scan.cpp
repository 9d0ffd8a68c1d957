#include "runtime/data/text/regex_scan.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <array>
#include <optional>

#include <pcre2.h>

#include "runtime/base/error.h"
#include "runtime/data/text/unicode.h"

namespace longsight::data {
struct FreePcre2 {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

namespace {

std::string message(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

std::unique_ptr<pcre2_code, FreePcre2> compiled(const std::string& pattern, const std::string& where) {
  int error = 0;
  PCRE2_SIZE at = 0;
  std::unique_ptr<pcre2_code, FreePcre2> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr));
  require(code != nullptr, ExitCode::bad_data, "{}: the pattern {} is not understood: {} at byte {}", where,
          pattern, message(error), at);
  return code;
}

}  // namespace

struct RegexScan::Compiled {
  std::unique_ptr<pcre2_code, FreePcre2> code;
  std::unique_ptr<pcre2_match_context, FreePcre2> context;
};

RegexScan::RegexScan(const std::string& pattern, const std::string& where)
    : pattern_(pattern), where_(where), compiled_(std::make_unique<Compiled>()) {
  auto& [code, context] = *compiled_;
  code = compiled(pattern, where);
  // Without a JIT the interpreter runs, with the same results.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  context.reset(pcre2_match_context_create(nullptr));
  require(context != nullptr, ExitCode::internal, "out of memory");
  pcre2_set_match_limit(context.get(), 1'000'000);
}

RegexScan::~RegexScan() = default;

void RegexScan::scan(std::string_view text, std::vector<i64>& ends) const {
  const auto& [code, context] = *compiled_;
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create_from_pattern(code.get(), nullptr), &pcre2_match_data_free);
  require(match != nullptr, ExitCode::internal, "out of memory");
  i64 last = 0;
  const auto cut = [&](i64 at) {
    if (at > last) ends.push_back(last = at);
  };
  for (PCRE2_SIZE from = 0; from < text.size();) {
    const int found = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                  PCRE2_NO_UTF_CHECK, match.get(), context.get());
    if (found == PCRE2_ERROR_NOMATCH) break;
    require(found > 0, ExitCode::bad_data, "{}: the pattern {} fails on a text of {} bytes: {}", where_,
            pattern_, text.size(), message(found));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    // \K can move the beginning to where the scan has been, or behind the end.
    require(from <= range[0] && range[0] <= range[1], ExitCode::bad_data,
            "{}: the pattern {} gives a match that does not begin in front of its end", where_, pattern_);
    if (range[0] == range[1]) {  // an empty match cuts nothing
      const bool more = range[1] < text.size();
      from = range[1] + (more ? static_cast<PCRE2_SIZE>(code_point(text.data() + range[1]).bytes) : 1);
      continue;
    }
    cut(static_cast<i64>(range[0]));
    cut(static_cast<i64>(range[1]));
    from = range[1];
  }
  cut(static_cast<i64>(text.size()));
}

namespace {

// The groups of the first match; nothing where there is none.
std::optional<std::vector<std::string>> groups_of(const std::string& pattern, std::string_view text,
                                                  const std::string& where) {
  const auto code = compiled(pattern, where);
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create_from_pattern(code.get(), nullptr), &pcre2_match_data_free);
  require(match != nullptr, ExitCode::internal, "out of memory");
  const int found = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0,
                                match.get(), nullptr);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  require(found > 0, ExitCode::bad_data, "{}: the pattern {} fails on {}: {}", where, pattern, text,
          message(found));
  std::vector<std::string> groups;
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
  for (int i = 1; i < found; ++i) {
    const bool set = range[2 * i] != PCRE2_UNSET;
    groups.emplace_back(set ? text.substr(range[2 * i], range[2 * i + 1] - range[2 * i]) : "");
  }
  return groups;
}

}  // namespace

bool matches_pattern(const std::string& pattern, std::string_view text, const std::string& where) {
  return groups_of(pattern, text, where).has_value();
}

std::optional<std::string> last_group(const std::string& pattern, std::string_view text,
                                      const std::string& where) {
  const auto groups = groups_of(pattern, text, where);
  if (!groups || groups->empty()) return std::nullopt;
  return groups->back();
}

}  // namespace longsight::data
