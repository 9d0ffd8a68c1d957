// Which characters of a rendered conversation are learned: what the model is to generate.
//
// Where the template marks {% generation %}, that. Else an answer is found by where its strings have landed:
// from the end of what asks for it (the generation prompt; spaces behind it do not count) to its end of turn,
// the special tokens that the template writes behind an answer. So <think>, <tool_call> and the like, which
// the template writes around and between an assistant's strings, are learned with them, and heads of messages
// are not. Of an answer that the template shows again elsewhere, the one at its own turn is learned
// (answer_copies.h). Internal to this folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/chat/chat_context.h"
#include "runtime/data/chat/turn_shape.h"
#include "runtime/data/text/unicode.h"
#include "runtime/jinja/template.h"

namespace longsight::data {

struct Answer {
  std::size_t message = 0;
  std::vector<ByteSpan> spans = {};  // ascending, with the end of turn where it is to be learned
  i64 end = 0;                       // of the answer; where an end of turn is added if it has none
  bool ended = false;                // by an end of turn, the template's or one of its own text
  bool cannot_tell = false;          // it stands there more than once, and which one is its turn is unclear
};

// Of every assistant message of the context, in order; one without a string in the text has no spans.
std::vector<Answer> answers_of(const jinja::Rendered&, const ChatContext&, const ChatSample&,
                               std::size_t count, bool marked, const TurnShape&, const SpecialStrings&);

}  // namespace longsight::data
