#include "runtime/data/chat/answer_spans.h"

#include <algorithm>
#include <optional>

#include "runtime/base/error.h"

namespace longsight::data {
namespace {

constexpr std::string_view kSpaces = " \t\r\n\f\v";

std::size_t spaces_at(std::string_view text) {
  return std::min(text.find_first_not_of(kSpaces), text.size());
}
std::string_view without_end_spaces(std::string_view text) {
  const std::size_t last = text.find_last_not_of(kSpaces);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}
std::string_view part_of(std::string_view text, i64 begin, i64 end) {
  return text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

// Where the answer begins in the literal text in front of its first string.
std::size_t opening_end(std::string_view literal, const TurnShape& shape) {
  for (const std::string& head : {shape.opening, shape.prompt_head}) {
    if (spaces_at(head) == head.size()) continue;
    const std::size_t at = literal.rfind(head);
    if (at == std::string_view::npos) continue;
    const std::size_t end = at + head.size();
    return end + spaces_at(literal.substr(end));
  }
  return literal.size();
}

// Where the turn ends in the literal text behind its last string; nothing if no special token ends it.
std::optional<std::size_t> closing_end(std::string_view literal, const TurnShape& shape,
                                       const SpecialStrings& special) {
  const std::size_t spaces = spaces_at(literal);
  const std::string_view rest = literal.substr(spaces);
  if (!shape.closing.empty() && rest.starts_with(shape.closing)) return spaces + shape.closing.size();
  if (shape.known && shape.closing.empty()) return std::nullopt;
  // Another end than that of the last turn: one with which the user's turns end too, or a call of a tool.
  if (const std::size_t bytes = special.at_begin(rest); bytes > 0) {
    const std::string_view token = rest.substr(0, bytes);
    const auto ends = [&](const std::string& one) { return token == one; };
    if (!shape.known || shape.user_closing.starts_with(token) ||
        std::any_of(shape.ends.begin(), shape.ends.end(), ends))
      return spaces + bytes;
  }
  const std::size_t at = shape.closing.empty() ? std::string_view::npos : rest.find(shape.closing);
  if (at == std::string_view::npos) return std::nullopt;
  return spaces + at + shape.closing.size();
}

struct Landed {  // a stretch of one assistant message's strings, with what the template writes between them
  std::size_t message;
  ByteSpan span;
  i64 literal_from;  // end of the string in front of it that is not of this stretch
  i64 literal_to;    // begin of the one behind it
};

std::vector<Landed> landed(const jinja::Rendered& rendered, const ChatContext& context,
                           const ChatSample& sample) {
  std::vector<Landed> all;
  i64 before = 0;
  bool open = false;
  for (const jinja::Span& span : rendered.origins) {
    const TextOrigin& origin = context.origins[static_cast<std::size_t>(span.origin)];
    const bool learned = origin.message != TextOrigin::kTools && origin.from != TextOrigin::From::other &&
                         sample.messages[origin.message].role == Role::assistant;
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
                               const ChatSample& sample, std::vector<Answer> answers, const TurnShape& shape,
                               const SpecialStrings& special) {
  const std::vector<Landed> all = landed(rendered, context, sample);
  for (Answer& answer : answers) {
    const Landed* last = nullptr;
    for (const Landed& one : all) {
      if (one.message != answer.message) continue;
      answer.spans.push_back(one.span);
      if (last == nullptr) {
        answer.spans.back().begin =
            one.literal_from +
            static_cast<i64>(opening_end(part_of(rendered.text, one.literal_from, one.span.begin), shape));
      }
      last = &one;
    }
    if (last == nullptr) continue;
    ByteSpan& span = answer.spans.back();
    answer.end = span.end;
    const auto closing = closing_end(part_of(rendered.text, span.end, last->literal_to), shape, special);
    answer.ended = closing.has_value();
    if (closing) span.end += static_cast<i64>(*closing);
    // The text itself may hold an end of turn.
    if (special.at_end(without_end_spaces(part_of(rendered.text, span.begin, answer.end))) > 0)
      answer.ended = true;
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
    i64 next = static_cast<i64>(rendered.text.size());
    for (const jinja::Span& span : rendered.origins) {
      if (span.begin >= end) {
        next = span.begin;
        break;
      }
    }
    answer.ended = special.at_end(without_end_spaces(part_of(rendered.text, begin, end))) > 0 ||
                   closing_end(part_of(rendered.text, end, next), shape, special).has_value();
  }
  return answers;
}

}  // namespace

SpecialStrings::SpecialStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  std::erase(strings_, "");
  std::sort(strings_.begin(), strings_.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
}

std::size_t SpecialStrings::at_begin(std::string_view text) const {
  for (const std::string& one : strings_) {
    if (text.starts_with(one)) return one.size();
  }
  return 0;
}

std::size_t SpecialStrings::at_end(std::string_view text) const {
  for (const std::string& one : strings_) {
    if (text.ends_with(one)) return one.size();
  }
  return 0;
}

std::optional<TurnShape> turn_shape(const jinja::Template& program, ContentForm form,
                                    const std::vector<std::pair<std::string, std::string>>& named,
                                    const SpecialStrings& special) try {
  const ChatSample sample{
      .where = "",
      .id = "",
      .messages = {{.role = Role::user, .parts = {{.text = "question"}}},
                   {.role = Role::assistant, .parts = {{.text = "answer"}}, .loss = true}},
      .media = {}};
  // The text behind the last string.
  i64 marked = 0;             // end of the last marked stretch
  i64 end = 0;                // of the last string
  i64 begin = 0, before = 0;  // of the last string, and the end of the one in front of it
  const auto tail = [&](std::size_t count, bool generation_prompt, std::string& whole) {
    const ChatContext context = chat_context(sample, count, form, generation_prompt, named);
    jinja::Rendered rendered = program.render(context.value);
    end = rendered.origins.empty() ? -1 : rendered.origins.back().end;
    begin = rendered.origins.empty() ? 0 : rendered.origins.back().begin;
    before = rendered.origins.size() < 2 ? 0 : rendered.origins[rendered.origins.size() - 2].end;
    marked = rendered.generation.empty() ? 0 : rendered.generation.back().second;
    whole = std::move(rendered.text);
    return end < 0 ? std::string() : whole.substr(static_cast<std::size_t>(end));
  };
  TurnShape shape{.known = true};
  std::string question, prompt, answered;
  tail(1, false, question);
  shape.opening = tail(1, true, prompt);
  if (prompt.starts_with(question)) shape.prompt_head = prompt.substr(question.size());
  if (shape.opening.ends_with(shape.prompt_head)) {
    shape.user_closing = shape.opening.substr(0, shape.opening.size() - shape.prompt_head.size());
    shape.user_closing.erase(0, spaces_at(shape.user_closing));
  }
  const std::string behind = tail(2, false, answered);
  // Without a generation prompt the head of an answer is seen on the answer alone.
  if (shape.prompt_head.empty()) shape.opening = without_end_spaces(part_of(answered, before, begin));
  const std::string_view closing = std::string_view(behind).substr(spaces_at(behind));
  std::size_t last = 0;  // end of the last special token
  for (std::size_t at = 0; at < closing.size();) {
    const std::size_t bytes = special.at_begin(closing.substr(at));
    if (bytes == 0) {
      ++at;
      continue;
    }
    if (shape.stop.empty()) shape.stop = closing.substr(at, bytes);
    at += bytes;
    last = at;
  }
  shape.closing = closing.substr(0, last);
  shape.learns_stop =
      !program.marks_generation() || shape.stop.empty() || marked > end + static_cast<i64>(spaces_at(behind));
  if (answered.find("answer") == std::string::npos) return std::nullopt;
  return shape;
} catch (const Error&) {
  return std::nullopt;
}

std::vector<Answer> answers_of(const jinja::Rendered& rendered, const ChatContext& context,
                               const ChatSample& sample, std::size_t count, bool marked,
                               const TurnShape& shape, const SpecialStrings& special) {
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < count; ++i) {
    if (sample.messages[i].role == Role::assistant) answers.push_back({.message = i});
  }
  return marked ? by_marks(rendered, context, std::move(answers), shape, special)
                : by_strings(rendered, context, sample, std::move(answers), shape, special);
}

}  // namespace longsight::data
