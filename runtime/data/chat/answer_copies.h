// A template may show an answer a second time elsewhere (a summary in front, a memory behind): what the model
// is to say is the one at its own turn. Internal to this folder.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "runtime/data/chat/chat_context.h"
#include "runtime/jinja/template.h"

namespace longsight::data {

// Where strings of answers stand more often than once, which of the stretches of rendered.origins are no part
// of the answer: all but the one behind the assistant's head (as `in_turn` says of the literal text from the
// strings of the message in front to it) and the strings of the message before it, or one of these; of
// several there the first that ends its turn, as `ends_turn` says of the literal text behind it. Of calls,
// whose names a turn may hold twice, those that stand behind the turn (in that of the tool) where others are
// in it.
struct AnswerCopies {
  std::vector<bool> copy;         // of each stretch of rendered.origins
  std::vector<bool> cannot_tell;  // of each message: which one is its own turn
};
AnswerCopies answer_copies(const jinja::Rendered&, const ChatContext&, const ChatSample&, std::size_t count,
                           const std::function<bool(std::string_view)>& ends_turn,
                           const std::function<bool(std::string_view)>& in_turn);

}  // namespace longsight::data
