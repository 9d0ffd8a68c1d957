#include "runtime/data/chat/turn_shape.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/data/chat/text_spaces.h"

namespace longsight::data {

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

bool TurnShape::is_end(std::string_view token) const {
  if (token.empty()) return false;
  return token == eos || token == stop || token == closing ||
         std::find(ends.begin(), ends.end(), token) != ends.end();
}

bool TurnShape::holds_end(std::string_view literal) const {
  const auto holds = [&](const std::string& end) {
    return !end.empty() && literal.find(end) != std::string_view::npos;
  };
  return holds(closing) || holds(eos) || std::any_of(ends.begin(), ends.end(), holds);
}

bool TurnShape::opens(std::string_view token) const {
  return std::find(openers.begin(), openers.end(), token) != openers.end();
}

namespace {

// A rendered conversation of short texts: what stands around the string of its last message.
struct Probe {
  std::string text;
  std::string in_front, behind;  // literal, to the strings before it and behind it
  i64 end = 0;                   // of that string
  i64 marked = 0;                // end of the last marked stretch
};

class Prober {
 public:
  Prober(const jinja::Template& program, ContentForm form,
         const std::vector<std::pair<std::string, std::string>>& named, const SpecialStrings& special,
         bool system)
      : program_(program), form_(form), named_(named), special_(special) {
    if (system)
      sample_.messages.insert(sample_.messages.begin(),
                              {.role = Role::system, .parts = {{.text = "system"}}});
    in_front_ = system ? 1 : 0;
  }

  // Of the first `count` messages, that of the system aside. Nothing if the template refuses the
  // conversation, or does not show its last message. `head`: with which the turn of that begins, as far as
  // known.
  std::optional<Probe> operator()(std::size_t count, bool generation_prompt,
                                  std::string_view head = {}) const {
    try {
      const ChatContext context = chat_context(sample_, count + in_front_, form_, generation_prompt, named_);
      jinja::Rendered rendered = program_.render(context.value);
      const auto& origins = rendered.origins;
      const auto at = place_of_last(rendered, static_cast<int>(count + in_front_) - 1, head);
      if (!at) return std::nullopt;
      const i64 before = *at == 0 ? 0 : origins[*at - 1].end;
      const bool again = *at + 1 < origins.size();  // shown again behind its turn
      std::string_view behind =
          std::string_view(rendered.text).substr(static_cast<std::size_t>(origins[*at].end));
      if (again)
        behind = first_specials(
            behind.substr(0, static_cast<std::size_t>(origins[*at + 1].begin - origins[*at].end)));
      Probe probe{.text = {},
                  .in_front = std::string(part_of(rendered.text, before, origins[*at].begin)),
                  .behind = std::string(behind),
                  .end = origins[*at].end,
                  .marked = rendered.generation.empty() ? 0 : rendered.generation.back().second};
      probe.text = std::move(rendered.text);
      return probe;
    } catch (const Error&) {
      return std::nullopt;
    }
  }

 private:
  // Which stretch is the last message's. A template may show it again elsewhere: it is the one behind its
  // head, or behind the message before it that a special token ends, or else the last one.
  std::optional<std::size_t> place_of_last(const jinja::Rendered& rendered, int last,
                                           std::string_view head) const {
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < rendered.origins.size() && !head.empty(); ++i) {
      const i64 before = i == 0 ? 0 : rendered.origins[i - 1].end;
      const std::string_view in_front = part_of(rendered.text, before, rendered.origins[i].begin);
      if (rendered.origins[i].origin == last && in_front.find(head) != std::string_view::npos) return i;
    }
    for (std::size_t i = 0; i < rendered.origins.size(); ++i) {
      if (rendered.origins[i].origin != last) continue;
      found = i;
      if (last > 0 && (i == 0 || rendered.origins[i - 1].origin != last - 1)) continue;
      const std::string_view behind =
          std::string_view(rendered.text).substr(static_cast<std::size_t>(rendered.origins[i].end));
      if (special_.at_begin(behind.substr(spaces_at(behind))) > 0) break;
    }
    return found;
  }

  // To the end of the special tokens that it begins with; all of it without any.
  std::string_view first_specials(std::string_view text) const {
    const std::size_t begin = spaces_at(text);
    std::size_t end = begin;
    while (const std::size_t bytes = special_.at_begin(text.substr(end))) end += bytes;
    return end == begin ? text : text.substr(0, end);
  }

  const jinja::Template& program_;
  ContentForm form_;
  const std::vector<std::pair<std::string, std::string>>& named_;
  const SpecialStrings& special_;
  std::size_t in_front_ = 0;
  ChatSample sample_{.where = "",
                     .id = "",
                     .messages = {{.role = Role::user, .parts = {{.text = "question"}}},
                                  {.role = Role::assistant, .parts = {{.text = "answer"}}, .loss = true},
                                  {.role = Role::user, .parts = {{.text = "further"}}}},
                     .media = {}};
};

std::vector<std::string> tokens_in(std::string_view text, const SpecialStrings& special) {
  std::vector<std::string> tokens;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = special.at_begin(text.substr(at));
    if (bytes > 0) tokens.emplace_back(text.substr(at, bytes));
    at += std::max<std::size_t>(bytes, 1);
  }
  return tokens;
}

// The special tokens with which the last head in `text` begins, one directly behind the other; those behind
// a word are no beginning, such as <|sep|> in "<|open|>user<|sep|>". `behind_word`: `text` stands behind one.
std::vector<std::string> beginning_of_head(std::string_view text, bool behind_word,
                                           const SpecialStrings& special) {
  std::vector<std::string> last, run;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = special.at_begin(text.substr(at));
    if (bytes == 0) {
      run.clear();
      behind_word = spaces_at(text.substr(at)) == 0;
    } else if (behind_word) {
      behind_word = false;
    } else {
      run.emplace_back(text.substr(at, bytes));
      last = run;
    }
    at += std::max<std::size_t>(bytes, 1);
  }
  return last;
}

// From the first special token of `text` to the last one in front of the head of a turn.
std::string_view closing_in(std::string_view text, const SpecialStrings& special, const TurnShape& shape) {
  std::size_t begin = text.size(), end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = special.at_begin(text.substr(at));
    if (bytes > 0 && shape.opens(text.substr(at, bytes))) break;
    if (bytes > 0) begin = std::min(begin, at), end = at + bytes;
    at += std::max<std::size_t>(bytes, 1);
  }
  return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

// What both begin with, to the end of a special token.
std::string_view common_closing(std::string_view a, std::string_view b, const SpecialStrings& special) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < a.size();) {
    const std::size_t bytes = std::max<std::size_t>(special.at_begin(a.substr(at)), 1);
    if (a.substr(at, bytes) != b.substr(std::min(at, b.size()), bytes)) break;
    at += bytes;
    if (bytes > 1) end = at;
  }
  return a.substr(0, end);
}

bool has_words(std::string_view text, const SpecialStrings& special) {
  for (std::size_t at = spaces_at(text); at < text.size(); at += spaces_at(text.substr(at))) {
    const std::size_t bytes = special.at_begin(text.substr(at));
    if (bytes == 0) return true;
    at += bytes;
  }
  return false;
}

// `text` without what it ends with as `other` does, in whole special tokens.
std::string_view without_common_end(std::string_view text, std::string_view other,
                                    const SpecialStrings& special) {
  std::size_t common = 0;
  while (common < std::min(text.size(), other.size()) &&
         text[text.size() - 1 - common] == other[other.size() - 1 - common])
    ++common;
  const std::size_t cut = text.size() - common;
  for (std::size_t at = 0; at < cut;) {
    const std::size_t bytes = std::max<std::size_t>(special.at_begin(text.substr(at)), 1);
    if (at + bytes > cut && bytes > 1) return text.substr(0, at + bytes);
    at += bytes;
  }
  return text.substr(0, cut);
}

// What `answer` and `next` (behind an answer, without and with a question) have in common, without the head
// of the question, which also `first` ends with.
std::string_view without_heads(std::string_view answer, std::string_view next, std::string_view first,
                               const SpecialStrings& special) {
  std::size_t end = 0, last = 0;  // of the common special tokens; where the last of them begins
  for (std::size_t at = 0; at < std::min(answer.size(), next.size()) && answer[at] == next[at];) {
    const std::size_t bytes = std::max<std::size_t>(special.at_begin(answer.substr(at)), 1);
    if (answer.substr(at, bytes) != next.substr(at, bytes)) break;
    if (bytes > 1) last = at;
    at += bytes;
    end = at;
  }
  return answer.substr(0, first.ends_with(next.substr(last)) ? last : end);
}

std::string_view trimmed(std::string_view text) {
  return without_end_spaces(text.substr(spaces_at(text)));
}

// Of the generation prompt's whole words, those with which `answer` ends: the prompt may go on further than
// answers do (<think>).
std::string_view prompt_in(std::string_view prompt_head, std::string_view answer) {
  prompt_head = trimmed(prompt_head);
  answer = without_end_spaces(answer);
  for (std::size_t bytes = prompt_head.size(); bytes > 0; --bytes) {
    const std::string_view words = prompt_head.substr(0, bytes);
    const bool whole = bytes == prompt_head.size() || spaces_at(prompt_head.substr(bytes)) > 0;
    if (whole && answer.ends_with(words)) return words;
  }
  return {};
}

// `answer` may stand in front of a copy of the answer.
std::string_view head_of(const TurnShape& shape, std::string_view prompt, std::string_view answer) {
  if (const std::string_view own = prompt_in(shape.prompt_head, answer); !own.empty()) return own;
  const auto same = std::mismatch(prompt.begin(), prompt.end(), answer.begin(), answer.end()).second;
  std::string_view head =
      trimmed(shape.prompt_head.empty() ? answer : std::string_view(answer.begin(), same));
  const std::string_view before = trimmed(shape.user_closing);
  if (head.starts_with(before)) head = trimmed(head.substr(before.size()));
  if (head.empty()) head = trimmed(shape.prompt_head);
  // "[/INST]", where that ends no answer.
  return head.empty() && before != trimmed(shape.closing) ? before : head;
}

}  // namespace

std::optional<TurnShape> turn_shape(const jinja::Template& program, ContentForm form,
                                    const std::vector<std::pair<std::string, std::string>>& named,
                                    const SpecialStrings& special, const std::vector<std::string>& ends,
                                    bool system) {
  const Prober probe(program, form, named, special, system);
  const auto question = probe(1, false), prompt = probe(1, true);
  if (!question || !prompt) return std::nullopt;
  TurnShape shape{.known = true, .eos = ends.empty() ? std::string() : ends.front(), .ends = ends};
  shape.opening = prompt->behind;
  if (prompt->text.starts_with(question->text))
    shape.prompt_head = prompt->text.substr(question->text.size());
  const auto answer = probe(2, false, trimmed(shape.prompt_head));
  if (!answer) return std::nullopt;
  // Without a generation prompt the head of an answer is seen on the answer alone.
  if (shape.prompt_head.empty()) shape.opening = without_end_spaces(answer->in_front);
  if (prompt->behind.ends_with(shape.prompt_head)) {
    shape.user_closing = prompt->behind.substr(0, prompt->behind.size() - shape.prompt_head.size());
    shape.user_closing.erase(0, spaces_at(shape.user_closing));
  }

  std::string_view behind = answer->behind;
  auto further = probe(3, false);
  if (!further) further = probe(3, true);
  // What stands in front of the head, at the end of a message of the system, may end turns.
  const std::vector<std::string> closers = tokens_in(question->behind, special);
  for (const auto& [text, behind_word] : {std::pair(std::string_view(question->in_front), system),
                                          std::pair(std::string_view(shape.prompt_head), false)}) {
    const std::vector<std::string> head = beginning_of_head(text, behind_word, special);
    for (const std::string& token : head) {
      const bool closes =
          &token != &head.back() && std::find(closers.begin(), closers.end(), token) != closers.end();
      if (!closes && !shape.is_end(token)) shape.openers.push_back(token);
    }
  }
  // A template may write the generation prompt without being asked for it; that ends nothing.
  if (further && shape.prompt_head.empty() && !question->behind.empty() &&
      behind.ends_with(question->behind) && !further->in_front.starts_with(behind))
    behind = without_heads(behind, further->in_front, question->in_front, special);
  const std::string_view last = closing_in(behind, special, shape),
                         middle =
                             further ? closing_in(further->in_front, special, shape) : std::string_view();
  shape.ends_last = !last.empty();
  shape.closing = common_closing(last, middle, special);
  if (shape.closing.empty()) shape.closing = last;
  shape.cannot_tell = further && shape.ends_last && middle.empty() && has_words(behind, special);
  // One that ends an answer only where a question follows.
  if (!shape.ends_last && further)
    shape.closing =
        closing_in(without_common_end(further->in_front, question->in_front, special), special, shape);
  shape.stop = shape.closing.substr(0, special.at_begin(shape.closing));
  shape.head = head_of(shape, prompt->behind, answer->in_front);
  shape.learns_stop = !program.marks_generation() || !shape.ends_last ||
                      answer->marked > answer->end + static_cast<i64>(answer->behind.find(shape.stop));
  return shape;
}

}  // namespace longsight::data
