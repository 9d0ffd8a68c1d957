#include "runtime/data/chat/answer_copies.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "runtime/data/chat/text_spaces.h"

namespace longsight::data {
namespace {

using Showing = std::vector<std::size_t>;  // stretches that show a string, or what is left of it, once

// In order of the text, each stretch is a later part of its string than the one in front, or a new showing.
std::vector<Showing> showings(const jinja::Rendered& rendered, const Showing& stretches,
                              const std::string& source) {
  std::vector<Showing> all;
  std::size_t at = 0;  // in `source`: behind what the showing has had
  for (const std::size_t i : stretches) {
    const jinja::Span& span = rendered.origins[i];
    const std::string_view said = part_of(rendered.text, span.begin, span.end);
    const std::size_t found = source.find(said, at), again = source.find(said);
    // What the template has rewritten (JSON) cannot be found; all of it together is one showing.
    const bool begins = all.empty() || (found == std::string::npos && again != std::string::npos);
    if (begins) all.emplace_back();
    all.back().push_back(i);
    const std::size_t place = begins ? again : found;
    if (place != std::string::npos) at = place + said.size();
  }
  return all;
}

// Two of them, with nothing between.
bool holds_twice(std::string_view stretch, const std::string& text) {
  const std::size_t first = stretch.find(text);
  return !text.empty() && first != std::string_view::npos &&
         stretch.find(text, first + text.size()) != std::string_view::npos;
}

template <class Which>
std::vector<const Showing*> those(const std::vector<Showing>& all, const Which& which) {
  std::vector<const Showing*> some;
  for (const Showing& one : all) {
    if (which(one)) some.push_back(&one);
  }
  return some;
}

class Turns {
 public:
  Turns(const jinja::Rendered& rendered, const ChatContext& context) : rendered_(rendered) {
    for (const jinja::Span& span : rendered.origins)
      messages_.push_back(context.origins[static_cast<std::size_t>(span.origin)].message);
  }
  // Whether the nearest string of another message in front is one of the message before this one.
  bool at_own_turn(const Showing& showing) const {
    const std::size_t own = messages_[showing.front()];
    std::optional<std::size_t> nearest, before;
    for (std::size_t i = showing.front(); i-- > 0 && !nearest;) {
      if (is_other(i, own)) nearest = messages_[i];
    }
    for (std::size_t i = 0; i < messages_.size(); ++i) {  // messages without a string aside
      if (is_other(i, own) && messages_[i] < own && (!before || messages_[i] > *before))
        before = messages_[i];
    }
    return nearest == before;
  }

  // Nothing of another message stands between them.
  bool adjacent(const Showing& one, const Showing& next) const {
    for (std::size_t i = one.back() + 1; i < next.front(); ++i) {
      if (is_other(i, messages_[next.front()])) return false;
    }
    return true;
  }

  // From the nearest string of another message on, without its own ones.
  std::string literal_in_front(std::size_t at) const {
    std::size_t from = at;
    while (from > 0 && !is_other(from - 1, messages_[at])) --from;
    std::string literal;
    for (std::size_t i = from; i <= at; ++i) {
      const i64 begin = i == 0 ? 0 : rendered_.origins[i - 1].end;
      literal += part_of(rendered_.text, begin, rendered_.origins[i].begin);
      literal += '\0';  // nothing is found across a string
    }
    return literal;
  }

  std::string_view literal_behind(const Showing& showing) const {
    const std::size_t next = showing.back() + 1;
    const i64 end =
        next < messages_.size() ? rendered_.origins[next].begin : static_cast<i64>(rendered_.text.size());
    return part_of(rendered_.text, rendered_.origins[showing.back()].end, end);
  }

 private:
  bool is_other(std::size_t i, std::size_t own) const {
    return messages_[i] != own && messages_[i] != TextOrigin::kTools;
  }

  const jinja::Rendered& rendered_;
  std::vector<std::size_t> messages_;
};

}  // namespace

AnswerCopies answer_copies(const jinja::Rendered& rendered, const ChatContext& context,
                           const ChatSample& sample, std::size_t count,
                           const std::function<bool(std::string_view)>& ends_turn,
                           const std::function<bool(std::string_view)>& in_turn) {
  AnswerCopies copies{.copy = std::vector<bool>(rendered.origins.size()),
                      .cannot_tell = std::vector<bool>(count)};
  std::map<int, Showing> of_strings, of_calls;
  for (std::size_t i = 0; i < rendered.origins.size(); ++i) {
    const TextOrigin& origin = context.origins[static_cast<std::size_t>(rendered.origins[i].origin)];
    if (origin.message == TextOrigin::kTools || sample.messages[origin.message].role != Role::assistant)
      continue;
    if (origin.from == TextOrigin::From::content || origin.from == TextOrigin::From::reasoning)
      of_strings[rendered.origins[i].origin].push_back(i);
    if (origin.from == TextOrigin::From::calls) of_calls[rendered.origins[i].origin].push_back(i);
  }
  const Turns turns(rendered, context);
  for (const auto& [origin, stretches] : of_strings) {
    const TextOrigin& string = context.origins[static_cast<std::size_t>(origin)];
    const std::vector<Showing> all = showings(rendered, stretches, string.text);
    for (const std::size_t i : stretches) {
      if (holds_twice(part_of(rendered.text, rendered.origins[i].begin, rendered.origins[i].end),
                      string.text))
        copies.cannot_tell[string.message] = true;
    }
    if (all.size() < 2) continue;
    const auto headed = [&](const Showing& one) { return in_turn(turns.literal_in_front(one.front())); };
    const auto placed = [&](const Showing& one) { return turns.at_own_turn(one); };
    const auto both = [&](const Showing& one) { return headed(one) && placed(one); };
    std::vector<const Showing*> candidates = those(all, both);
    if (candidates.empty()) candidates = those(all, headed);
    if (candidates.empty()) candidates = those(all, placed);
    // Of those that follow each other within a turn the first, which must end that.
    std::vector<const Showing*> own, ended;
    bool repeats = false;
    for (std::size_t n = 0; n < candidates.size(); ++n) {
      if (n > 0 && turns.adjacent(*candidates[n - 1], *candidates[n])) {
        repeats = true;
        continue;
      }
      own.push_back(candidates[n]);
      if (ends_turn(turns.literal_behind(*candidates[n]))) ended.push_back(candidates[n]);
    }
    const bool told = !ended.empty() || (own.size() == 1 && !repeats);
    if (!told) copies.cannot_tell[string.message] = true;
    const Showing* const kept = !ended.empty() ? ended.front() : own.empty() ? &all.front() : own.front();
    for (const Showing& showing : all) {
      for (const std::size_t i : showing) copies.copy[i] = &showing != kept;
    }
  }
  for (const auto& [origin, stretches] : of_calls) {
    const auto headed = [&](std::size_t i) { return in_turn(turns.literal_in_front(i)); };
    if (std::none_of(stretches.begin(), stretches.end(), headed)) continue;
    for (const std::size_t i : stretches) copies.copy[i] = !headed(i);
  }
  return copies;
}

}  // namespace longsight::data
