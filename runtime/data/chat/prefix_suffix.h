// PaliGemma has no chat: pictures, <bos>, a question and a line break; apart from them the answer and <eos>.
// Internal to this folder.
#pragma once

#include <span>
#include <string>

#include "runtime/data/chat/render_chat.h"

namespace longsight::data {

// bad_data for other conversations than one question, with or without an answer.
RenderedChat render_prefix_suffix(const ChatSample& sample, std::span<const std::string> media_texts,
                                  const ChatTokens& tokens, bool with_answer);

}  // namespace longsight::data
