// Which characters of a rendered conversation are learned: what the model is to generate.
//
// Where the template marks {% generation %}, that. Else an answer is found by where its strings have landed:
// from the end of what asks for it (the generation prompt; spaces behind it do not count) to its end of turn,
// the special tokens that the template writes behind an answer. So <think>, <tool_call> and the like, which
// the template writes around and between an assistant's strings, are learned with them, and heads of messages
// are not. Internal to this folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/chat/chat_context.h"
#include "runtime/data/unicode.h"
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
  std::string opening =
      {};  // from the question to the answer: the end of the user's turn and the generation prompt
  std::string prompt_head = {};   // the generation prompt alone; empty: none
  std::string user_closing = {};  // of a question, spaces in front aside
  std::string closing =
      {};  // behind an answer, spaces aside, to the last special token: "<|im_end|>"; empty: none
  std::string stop = {};               // the special token with which an answer ends; empty: none
  bool learns_stop = true;             // false: {% generation %} leaves it out
  std::vector<std::string> ends = {};  // further special tokens that can end an answer: the model's eos
};
// Nothing if the template does not take such a conversation with contents of this form.
std::optional<TurnShape> turn_shape(const jinja::Template&, ContentForm,
                                    const std::vector<std::pair<std::string, std::string>>& named,
                                    const SpecialStrings&);

struct Answer {
  std::size_t message = 0;
  std::vector<ByteSpan> spans = {};  // ascending, with the end of turn where it is to be learned
  i64 end = 0;                       // of the answer; where an end of turn is added if it has none
  bool ended = false;                // a special token ends it
};

// Of every assistant message of the context, in order; one without a string in the text has no spans.
std::vector<Answer> answers_of(const jinja::Rendered&, const ChatContext&, const ChatSample&,
                               std::size_t count, bool marked, const TurnShape&, const SpecialStrings&);

}  // namespace longsight::data
