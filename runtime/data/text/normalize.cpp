#include "runtime/data/text/normalize.h"

#include <algorithm>

#include "runtime/data/text/nfc.h"
#include "runtime/data/text/tokenizer_json.h"

namespace longsight::data {

void NormalizedText::then(MappedText step) {
  steps_.push_back(std::move(step));
  view_ = steps_.back().text();
}

void NormalizedText::to_source(std::span<ByteSpan> spans) const {
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) step->to_source(spans);
}

void require_rewritten(std::size_t bytes, std::size_t most) {
  require(
      bytes <= most, ExitCode::bad_data,
      "the tokenizer's rules turn a text into one of more than {} bytes: they are damaged, or made to do so",
      most);
}

MappedText replace_all(std::string_view text, std::string_view from, std::string_view to, std::size_t most) {
  MappedText out;
  out.reserve(text.size() + text.size() / 2);
  std::size_t done = 0;
  for (;;) {
    const std::size_t at = text.find(from, done);
    out.keep(text.substr(done, at - done));
    if (at == std::string_view::npos) return out;
    require_rewritten(out.text().size() + to.size(), most);
    out.replace(static_cast<i64>(from.size()), to);
    done = at + from.size();
  }
}

Normalizer::Normalizer(const Json& description, const std::string& source) {
  if (!description.is_null()) add(description, source + ": normalizer");
}

void Normalizer::add(const Json& description, const std::string& where) {
  constexpr std::size_t kMostSteps = 64;  // the text is kept as each leaves it
  const std::string type = type_of(description, where);
  require(steps_.size() < kMostSteps, ExitCode::bad_data, "{}: more than {} steps", where, kMostSteps);
  if (type == "Sequence") {
    for (const Json& part : members_of(description, "normalizers", where)) add(part, where);
  } else if (type == "NFC") {
    steps_.emplace_back(Nfc{});
  } else if (type == "Prepend") {
    steps_.emplace_back(Prepend{text_member(description, "prepend", where)});
  } else if (type == "Replace") {
    steps_.emplace_back(
        Replace{string_pattern(description, where), text_member(description, "content", where)});
  } else {
    fail(ExitCode::bad_data, "{}: type {} is not supported (NFC, Prepend, Replace and Sequence are)", where,
         type);
  }
}

NormalizedText Normalizer::operator()(std::string_view text) const {
  NormalizedText out(text);
  const std::size_t most = most_rewritten(text.size());
  for (const auto& step : steps_) {
    const std::string_view now = out.view();
    if (std::holds_alternative<Nfc>(step)) {
      // Below U+0300 (lead byte 0xCC) nothing changes.
      const bool may_change =
          std::any_of(now.begin(), now.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xCC; });
      if (may_change) out.then(nfc(now));
    } else if (const auto* prepend = std::get_if<Prepend>(&step)) {
      if (now.empty()) continue;
      require_rewritten(prepend->text.size() + now.size(), most);
      MappedText with;
      with.reserve(prepend->text.size() + now.size());
      with.replace(0, prepend->text);
      with.keep(now);
      out.then(std::move(with));
    } else if (const auto* replace = std::get_if<Replace>(&step)) {
      if (now.find(replace->from) != std::string_view::npos)
        out.then(replace_all(now, replace->from, replace->to, most));
    }
  }
  return out;
}

}  // namespace longsight::data
