// What a chat template writes around answers, found by running it on short conversations. Internal to this
// folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/data/chat/chat_context.h"
#include "runtime/jinja/template.h"

namespace longsight::data {

// Strings that the tokenizer takes as one special token each.
class SpecialStrings {
 public:
  explicit SpecialStrings(std::vector<std::string> strings);
  std::size_t at_begin(std::string_view text) const;  // bytes of the longest that `text` begins with, or 0
  std::size_t at_end(std::string_view text) const;

 private:
  std::vector<std::string> strings_;  // longest first
};

// What a template writes around answers, seen on a conversation of one question and one answer.
struct TurnShape {
  bool known = false;
  // From the question to the answer: the end of the user's turn and the generation prompt.
  std::string opening = {};
  std::string prompt_head = {};   // the generation prompt alone; empty: none
  std::string user_closing = {};  // of a question, spaces in front aside
  // With which an answer begins, spaces around aside, as the prompt and the conversation write it; empty:
  // none.
  std::string head = {};
  // Behind an answer, whatever follows it, from the first special token to the last one: "<|im_end|>"; empty:
  // none.
  std::string closing = {};
  std::string stop = {};                  // the special token with which an answer ends; empty: none
  std::vector<std::string> openers = {};  // special tokens with which turns begin, which end none
  // Words stand behind the last answer beside special tokens that end no other one: whether they belong to
  // the turn or stand behind the conversation cannot be told.
  bool cannot_tell = false;
  bool ends_last = false;              // also the last answer of a conversation
  bool learns_stop = true;             // false: {% generation %} leaves it out
  std::string eos = {};                // of the tokenizer
  std::vector<std::string> ends = {};  // further special tokens that can end an answer

  bool is_end(std::string_view token) const;       // the model's, or the one that the template writes
  bool holds_end(std::string_view literal) const;  // anywhere
  bool opens(std::string_view token) const;
  // Whether an answer that the template has not ended is to get an end: of all where the template ends none,
  // and of the conversation's last where it ends them only in front of a question. Elsewhere it is to be as
  // the template writes it.
  bool lacks_end(bool last) const { return !ends_last && (last || closing.empty()); }
};
// Nothing if the template does not take such a conversation with contents of this form. `system`: with a
// message of the system in front, without which some templates refuse it. `ends`: tokens that end what the
// model generates, first the tokenizer's eos, if there is one.
std::optional<TurnShape> turn_shape(const jinja::Template&, ContentForm,
                                    const std::vector<std::pair<std::string, std::string>>& named,
                                    const SpecialStrings&, const std::vector<std::string>& ends, bool system);

}  // namespace longsight::data
