// Where a call of a tool begins and ends that the template writes around its strings. Internal to this
// folder.
#pragma once

#include <functional>
#include <string>

#include "runtime/data/chat/answer_spans.h"

namespace longsight::data {

// The text of the first `count` messages, with or without the generation prompt.
using RenderFirst = std::function<std::string(std::size_t count, bool generation_prompt)>;

// For the answer of a message with calls whose literal text is not bounded by what is written around plain
// answers: it begins where the prompt for it ends, and ends where the conversation up to it ends. `begins`:
// the answer begins with one of its strings so far. bad_data where that cannot be told: nothing is cut or
// added inside of a call.
void bound_call(Answer& answer, const std::string& text, bool begins, const RenderFirst& render,
                const TurnShape& shape, const SpecialStrings& special, const std::string& where);

}  // namespace longsight::data
