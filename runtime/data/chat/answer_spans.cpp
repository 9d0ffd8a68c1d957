#include "runtime/data/chat/answer_spans.h"

#include <algorithm>
#include <optional>

#include "runtime/base/error.h"
#include "runtime/data/chat/answer_copies.h"
#include "runtime/data/chat/text_spaces.h"

namespace longsight::data {
namespace {

// Where the answer begins in the literal text in front of its first string, or in that: the generation prompt
// may hold what the answer begins with (<think>).
std::size_t opening_end(std::string_view literal, std::string_view string, const TurnShape& shape) {
  // The one that reaches further: a template may ask behind other text than stands between question and
  // answer.
  std::optional<std::size_t> found;
  for (const std::string& head : {shape.opening, shape.prompt_head}) {
    if (spaces_at(head) == head.size()) continue;
    if (const std::size_t at = literal.rfind(head); at != std::string_view::npos)
      found = std::max(found.value_or(0), at + head.size());
  }
  if (found) return *found + spaces_at(literal.substr(*found));
  for (const std::string& head : {shape.opening, shape.prompt_head}) {
    if (spaces_at(head) == head.size()) continue;
    for (std::size_t in = std::min(head.size() - 1, literal.size()); in > 0; --in) {  // bytes in the literal
      const std::string_view begin = std::string_view(head).substr(0, in),
                             rest = std::string_view(head).substr(in);
      if (spaces_at(begin) < in && spaces_at(rest) < rest.size() && literal.ends_with(begin) &&
          string.starts_with(rest))
        return literal.size() + rest.size();
    }
  }
  return literal.size();
}

// Where the turn ends in the literal text behind its last string; nothing if no special token ends it.
std::optional<std::size_t> closing_end(std::string_view literal, const TurnShape& shape,
                                       const SpecialStrings& special) {
  const std::size_t spaces = spaces_at(literal);
  const std::string_view rest = literal.substr(spaces);
  // With the model's own end behind it, where the template writes that too.
  const auto with_eos = [&](std::size_t end) {
    const std::string_view behind = rest.substr(end);
    const bool own = !shape.eos.empty() && behind.starts_with(shape.eos);
    return spaces + end + (own ? shape.eos.size() : 0);
  };
  if (!shape.closing.empty() && rest.starts_with(shape.closing)) return with_eos(shape.closing.size());
  if (const std::size_t bytes = special.at_begin(rest); bytes > 0) {
    // Another end than that of the last turn: the model's own, or one with which the user's turns end too.
    const std::string_view token = rest.substr(0, bytes);
    const auto ends = [&](const std::string& one) { return token == one; };
    if (token == shape.eos || !shape.known ||
        (!shape.closing.empty() &&
         (shape.user_closing.starts_with(token) || std::any_of(shape.ends.begin(), shape.ends.end(), ends))))
      return spaces + bytes;
  }
  // Behind words that belong to the turn, in front of the next one.
  for (std::size_t at = 0; at < rest.size() && !shape.closing.empty();) {
    const std::size_t bytes = special.at_begin(rest.substr(at));
    const std::string_view token = rest.substr(at, bytes);
    if (rest.substr(at).starts_with(shape.closing)) return with_eos(at + shape.closing.size());
    if (std::find(shape.ends.begin(), shape.ends.end(), token) != shape.ends.end())
      return with_eos(at + bytes);
    if (bytes > 0 && shape.opens(token)) break;
    at += std::max<std::size_t>(bytes, 1);
  }
  return std::nullopt;
}

// Up to where a text ends with an end of turn of its own; nothing if it has none. Other special tokens
// (<|box_end|>, <|vision_end|>) are words of an answer.
std::optional<std::size_t> own_end(std::string_view text, const TurnShape& shape,
                                   const SpecialStrings& special) {
  text = without_end_spaces(text);
  const bool ends = (!shape.closing.empty() && text.ends_with(shape.closing)) ||
                    shape.is_end(text.substr(text.size() - special.at_end(text)));
  return ends ? std::optional(text.size()) : std::nullopt;
}

// Whether what is written from the message before on is the beginning of an answer's turn, which has not
// ended.
bool in_turn(std::string_view literal, const TurnShape& shape, const SpecialStrings& special) {
  const std::size_t at = literal.rfind(shape.head);
  if (shape.head.empty() || at == std::string_view::npos) return false;
  const std::string_view behind = literal.substr(at + shape.head.size());
  const std::string_view opener = std::string_view(shape.head).substr(0, special.at_begin(shape.head));
  const bool next = !opener.empty() && behind.find(opener) != std::string_view::npos;
  return !next && !shape.holds_end(behind);
}

struct Landed {  // a stretch of one assistant message's strings, with what the template writes between them
  std::size_t message;
  ByteSpan span;
  i64 literal_from;  // end of the string in front of it that is not of this stretch
  i64 literal_to;    // begin of the one behind it
};

bool is_said(const TextOrigin& origin, const ChatSample& sample) {
  using enum TextOrigin::From;
  return origin.message != TextOrigin::kTools && sample.messages[origin.message].role == Role::assistant &&
         (origin.from == content || origin.from == calls || origin.from == reasoning);
}

std::vector<Landed> landed(const jinja::Rendered& rendered, const ChatContext& context,
                           const ChatSample& sample, const std::vector<bool>& copy) {
  std::vector<Landed> all;
  i64 before = 0;
  bool open = false;
  for (std::size_t i = 0; i < rendered.origins.size(); ++i) {
    const jinja::Span& span = rendered.origins[i];
    const TextOrigin& origin = context.origins[static_cast<std::size_t>(span.origin)];
    const bool learned = is_said(origin, sample) && !copy[i];
    if (open && learned && all.back().message == origin.message) {
      all.back().span.end = span.end;
    } else {
      if (open) all.back().literal_to = span.begin;
      open = learned;
      if (learned)
        all.push_back({.message = origin.message,
                       .span = {span.begin, span.end},
                       .literal_from = before,
                       .literal_to = static_cast<i64>(rendered.text.size())});
    }
    before = span.end;
  }
  return all;
}

std::vector<Answer> by_strings(const jinja::Rendered& rendered, const ChatContext& context,
                               const ChatSample& sample, std::size_t count, std::vector<Answer> answers,
                               const TurnShape& shape, const SpecialStrings& special) {
  const AnswerCopies copies = answer_copies(
      rendered, context, sample, count,
      [&](std::string_view literal) { return closing_end(literal, shape, special).has_value(); },
      [&](std::string_view literal) { return in_turn(literal, shape, special); });
  const std::vector<Landed> all = landed(rendered, context, sample, copies.copy);
  for (Answer& answer : answers) {
    answer.cannot_tell = copies.cannot_tell[answer.message];
    const Landed* last = nullptr;
    for (const Landed& one : all) {
      if (one.message != answer.message) continue;
      answer.spans.push_back(one.span);
      if (last == nullptr) {
        answer.spans.back().begin =
            one.literal_from +
            static_cast<i64>(opening_end(part_of(rendered.text, one.literal_from, one.span.begin),
                                         part_of(rendered.text, one.span.begin, one.span.end), shape));
      }
      last = &one;
    }
    if (last == nullptr) continue;
    ByteSpan& span = answer.spans.back();
    answer.end = span.end;
    const auto closing = closing_end(part_of(rendered.text, span.end, last->literal_to), shape, special);
    answer.ended = closing.has_value();
    if (closing) {
      span.end += static_cast<i64>(*closing);
    } else if (const auto own = own_end(part_of(rendered.text, span.begin, span.end), shape, special)) {
      answer.ended = true;
      span.end = span.begin + static_cast<i64>(*own);
    }
  }
  return answers;
}

// To which assistant message a marked stretch belongs.
std::size_t owner_of(ByteSpan mark, std::size_t number, const jinja::Rendered& rendered,
                     const ChatContext& context, const std::vector<Answer>& answers) {
  std::size_t before = 0;  // the message after the last one that has a string in front of the stretch
  for (const jinja::Span& span : rendered.origins) {
    if (span.begin >= mark.end) break;
    const TextOrigin& origin = context.origins[static_cast<std::size_t>(span.origin)];
    if (origin.message == TextOrigin::kTools) continue;
    if (span.end <= mark.begin) {
      before = origin.message + 1;
      continue;
    }
    for (std::size_t k = 0; k < answers.size(); ++k) {
      if (answers[k].message == origin.message) return k;
    }
  }
  // A stretch without any string: the next answer.
  for (std::size_t k = 0; k < answers.size(); ++k) {
    if (answers[k].message >= before) return k;
  }
  return std::min(number, answers.size() - 1);
}

std::vector<Answer> by_marks(const jinja::Rendered& rendered, const ChatContext& context,
                             std::vector<Answer> answers, const TurnShape& shape,
                             const SpecialStrings& special) {
  if (answers.empty()) return answers;
  std::size_t number = 0;
  for (const auto& [begin, end] : rendered.generation) {
    if (begin == end) continue;
    Answer& answer = answers[owner_of({begin, end}, number++, rendered, context, answers)];
    answer.spans.push_back({begin, end});
    answer.end = end;
    i64 said = begin, next = static_cast<i64>(rendered.text.size());  // end of the last string, the next one
    for (const jinja::Span& span : rendered.origins) {
      if (span.begin >= end) {
        next = span.begin;
        break;
      }
      if (span.end > begin) said = std::min(span.end, end);
    }
    const std::string_view literal = without_end_spaces(part_of(rendered.text, said, end));
    const auto own = own_end(part_of(rendered.text, begin, said), shape, special);
    const auto written = literal.substr(literal.size() - special.at_end(literal));
    // Where the template ends turns with special tokens, it may end some with another one (<|call|>).
    const bool ends_turns = !shape.known || !shape.closing.empty();
    answer.ended = (literal.empty() && own) || (ends_turns ? !written.empty() : shape.is_end(written)) ||
                   closing_end(part_of(rendered.text, end, next), shape, special).has_value();
    if (literal.empty() && own) answer.spans.back().end = begin + static_cast<i64>(*own);
  }
  return answers;
}

}  // namespace

std::vector<Answer> answers_of(const jinja::Rendered& rendered, const ChatContext& context,
                               const ChatSample& sample, std::size_t count, bool marked,
                               const TurnShape& shape, const SpecialStrings& special) {
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < count; ++i) {
    if (sample.messages[i].role == Role::assistant) answers.push_back({.message = i});
  }
  return marked ? by_marks(rendered, context, std::move(answers), shape, special)
                : by_strings(rendered, context, sample, count, std::move(answers), shape, special);
}

}  // namespace longsight::data
