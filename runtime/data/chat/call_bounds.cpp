#include "runtime/data/chat/call_bounds.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/data/chat/text_spaces.h"

namespace longsight::data {
namespace {

i64 common_begin(const std::string& a, const std::string& b) {
  const auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return end.first - a.begin();
}

}  // namespace

void bound_call(Answer& answer, const std::string& text, bool begins, const RenderFirst& render,
                const TurnShape& shape, const SpecialStrings& special, const std::string& where) {
  ByteSpan& first = answer.spans.front();
  if (begins) {
    const std::string prompt = render(answer.message, true);
    i64 begin = common_begin(text, prompt);
    // The prompt may go on otherwise (<think>): not from within a tag.
    if (begin < static_cast<i64>(prompt.size())) {
      const std::size_t tag = text.rfind('<', static_cast<std::size_t>(begin));
      if (tag != std::string::npos && text.find('>', tag) >= static_cast<std::size_t>(begin))
        begin = static_cast<i64>(tag);
    }
    if (begin <= first.begin)
      first.begin =
          std::min(first.begin, begin + static_cast<i64>(spaces_at(part_of(text, begin, first.begin))));
  }
  if (answer.ended) return;
  const std::string until = render(answer.message + 1, false);
  require(text.starts_with(until) && static_cast<i64>(until.size()) >= answer.end, ExitCode::bad_data,
          "{}: where the call of a tool in message {} ends cannot be told from the chat template's output; "
          "mark what is "
          "generated with {{% generation %}} in it (data.chat: FILE.jinja)",
          where, answer.message + 1);
  const std::string_view tail = without_end_spaces(part_of(text, answer.end, static_cast<i64>(until.size())));
  const std::string_view token = tail.substr(tail.size() - special.at_end(tail));
  // Where the template ends turns with special tokens, it may end calls with another one (<|call|>).
  const bool ends_turns = !shape.known || !shape.closing.empty();
  answer.ended = ends_turns ? !token.empty() : shape.is_end(token);
  answer.end += static_cast<i64>(tail.size());
  answer.spans.back().end = answer.end;
}

}  // namespace longsight::data
