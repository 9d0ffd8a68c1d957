// The `normalizer` of a tokenizer.json: how text is rewritten before it is cut into pieces.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/data/text/mapped_text.h"

namespace longsight::data {

// A text after several rewritings, with the way back.
class NormalizedText {
 public:
  explicit NormalizedText(std::string_view original) : view_(original) {}
  NormalizedText(NormalizedText&&) = default;
  NormalizedText& operator=(NormalizedText&&) = default;
  // What a step made of view().
  void then(MappedText step);

  std::string_view view() const { return view_; }
  void to_source(std::span<ByteSpan> spans) const;  // as in MappedText

 private:
  std::vector<MappedText> steps_;
  std::string_view view_;  // of the last step, or the original
};

// Bytes that a text of so many may become at most. No tokenizer's own rules come near; those of a stranger
// may double the text again and again.
constexpr std::size_t most_rewritten(std::size_t bytes) {
  return 16 * bytes + (std::size_t{1} << 16);
}
// bad_data for more than `most` bytes.
void require_rewritten(std::size_t bytes, std::size_t most);

// Every `from`, which is not empty, becomes `to`; the result has at most `most` bytes.
MappedText replace_all(std::string_view text, std::string_view from, std::string_view to, std::size_t most);

// NFC, Prepend (in front of text that is not empty) and Replace of a String, alone or in a Sequence.
// Immutable; any number of threads.
class Normalizer {
 public:
  Normalizer() = default;  // leaves text as it is
  // null: the same. `source` names the file in messages. bad_data for a type that is not one of the above.
  Normalizer(const nlohmann::json& description, const std::string& source);

  NormalizedText operator()(std::string_view text) const;

 private:
  struct Nfc {};
  struct Prepend {
    std::string text;
  };
  struct Replace {
    std::string from, to;
  };
  void add(const nlohmann::json& description, const std::string& where);
  std::vector<std::variant<Nfc, Prepend, Replace>> steps_;
};

}  // namespace longsight::data
