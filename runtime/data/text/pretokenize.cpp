#include "runtime/data/text/pretokenize.h"

#include "runtime/data/text/pattern_scan.h"
#include "runtime/data/text/regex_scan.h"
#include "runtime/data/text/tokenizer_json.h"

namespace longsight::data {

// Cuts at a fixed text, which stays with what is in front of it or behind it, or stands alone. Of several in
// a row only the one next to other text is joined to it.
class StringSplit {
 public:
  enum class Delimiter { isolated, with_previous, with_next };
  StringSplit(std::string text, Delimiter delimiter) : text_(std::move(text)), delimiter_(delimiter) {}

  void scan(std::string_view text, std::vector<i64>& ends) const {
    const std::size_t size = text_.size();
    i64 last = 0;
    const auto cut = [&](std::size_t at) {
      if (static_cast<i64>(at) > last) ends.push_back(last = static_cast<i64>(at));
    };
    std::size_t done = 0;  // behind the delimiter before
    for (;;) {
      const std::size_t at = text.find(text_, done);
      if (at == std::string_view::npos) break;
      const bool text_in_front = at > done, text_behind = !text.substr(at + size).starts_with(text_);
      if (delimiter_ != Delimiter::with_previous || !text_in_front) cut(at);
      if (delimiter_ != Delimiter::with_next || !text_behind) cut(at + size);
      done = at + size;
    }
    cut(text.size());
  }

 private:
  std::string text_;
  Delimiter delimiter_;
};

// One cut: the pieces so far are cut again.
class PreTokenizer::Step {
 public:
  bool prefix_space = false;
  std::optional<Pattern> pattern;
  std::unique_ptr<RegexScan> regex;
  std::optional<StringSplit> string;

  bool does_nothing() const { return !prefix_space && !pattern && !regex && !string; }
  void scan(std::string_view text, std::vector<i64>& ends) const {
    if (regex) return regex->scan(text, ends);
    if (string) return string->scan(text, ends);
    if (pattern) return data::scan(*pattern, text, ends);
    ends.push_back(static_cast<i64>(text.size()));
  }
};

PreTokenizer::PreTokenizer(const Json& description, const std::string& source) {
  if (!description.is_null()) add(description, source + ": pre_tokenizer");
}
PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;

void PreTokenizer::add(const Json& description, const std::string& where) {
  const std::string type = type_of(description, where);
  require(!byte_level_, ExitCode::bad_data, "{}: {} behind ByteLevel is not supported", where, type);
  if (type == "Sequence") {
    for (const Json& part : members_of(description, "pretokenizers", where)) add(part, where);
    return;
  }
  auto step = std::make_unique<Step>();
  if (type == "ByteLevel") {
    require(!metaspace_, ExitCode::bad_data, "{}: ByteLevel behind Metaspace is not supported", where);
    byte_level_ = true;
    step->prefix_space = flag(description, "add_prefix_space", true, where);
    if (flag(description, "use_regex", true, where)) step->pattern = Pattern::gpt2;
  } else if (type == "Digits") {
    step->pattern =
        flag(description, "individual_digits", false, where) ? Pattern::digits : Pattern::digit_runs;
  } else if (type == "Split") {
    step = split_step(description, where);
  } else if (type == "Metaspace") {
    step = metaspace_step(description, where);
  } else {
    fail(ExitCode::bad_data,
         "{}: type {} is not supported (ByteLevel, Metaspace, Split, Digits and Sequence are)", where, type);
  }
  steps_.push_back(std::move(step));
}

std::unique_ptr<PreTokenizer::Step> PreTokenizer::split_step(const Json& description,
                                                             const std::string& where) const {
  auto step = std::make_unique<Step>();
  const std::string behavior = text_member(description, "behavior", where);
  const bool invert = flag(description, "invert", false, where);
  const Json pattern = description.value("pattern", Json());
  if (!pattern.is_object() || !pattern.contains("Regex")) {
    const std::string text = string_pattern(description, where);
    require((behavior == "Isolated" || behavior == "MergedWithPrevious" || behavior == "MergedWithNext") &&
                !invert,
            ExitCode::bad_data,
            "{}: Split at a String with behavior {} is not supported, only Isolated, MergedWithPrevious and "
            "MergedWithNext without invert",
            where, behavior);
    step->string.emplace(text, behavior == "Isolated"             ? StringSplit::Delimiter::isolated
                               : behavior == "MergedWithPrevious" ? StringSplit::Delimiter::with_previous
                                                                  : StringSplit::Delimiter::with_next);
    return step;
  }
  require(behavior == "Isolated" && !invert, ExitCode::bad_data,
          "{}: Split with behavior {} is not supported, only Isolated without invert", where, behavior);
  const std::string text = text_member(pattern, "Regex", where);
  step->pattern = pattern_of(text);
  if (!step->pattern) step->regex = std::make_unique<RegexScan>(text, where);
  return step;
}

std::unique_ptr<PreTokenizer::Step> PreTokenizer::metaspace_step(const Json& description,
                                                                 const std::string& where) {
  require(steps_.empty() && !metaspace_, ExitCode::bad_data,
          "{}: Metaspace behind another step is not supported", where);
  metaspace_.emplace();
  metaspace_->space = text_member(description, "replacement", where);
  require(!metaspace_->space.empty(), ExitCode::bad_data, "{}: Metaspace without a replacement", where);
  // Older files say add_prefix_space instead of prepend_scheme.
  std::string scheme = flag(description, "add_prefix_space", true, where) ? "always" : "never";
  if (present(description, "prepend_scheme") != nullptr)
    scheme = text_member(description, "prepend_scheme", where);
  require(scheme == "always" || scheme == "first" || scheme == "never", ExitCode::bad_data,
          "{}: Metaspace with prepend_scheme {} is not supported (always, first and never are)", where,
          scheme);
  metaspace_->prefix = scheme == "always"  ? Metaspace::Prefix::always
                       : scheme == "first" ? Metaspace::Prefix::first
                                           : Metaspace::Prefix::never;
  auto step = std::make_unique<Step>();
  if (flag(description, "split", true, where))
    step->string.emplace(metaspace_->space, StringSplit::Delimiter::with_next);
  return step;
}

void PreTokenizer::split(std::string_view text, std::vector<Piece>& pieces) const {
  pieces.assign(text.empty() ? 0 : 1, Piece{0, static_cast<i64>(text.size()), false});
  std::vector<Piece> cut;
  std::vector<i64> ends;
  std::string with_prefix;
  for (const auto& step : steps_) {
    if (step->does_nothing()) continue;
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
