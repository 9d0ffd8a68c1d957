// Where a template has written the place of an image or a video. Internal to this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/chat/chat_tokens.h"
#include "runtime/data/text/unicode.h"

namespace longsight::data {

struct MediaMark {
  bool video = false;
  ByteSpan span;
  // <image> or <video>: in a text of the data these are words, whatever the model's own placeholders are.
  bool word = false;
};

// The model's placeholders, and <image> and <video> as templates write them for any model; ascending, of two
// that begin at one place the longer.
std::vector<MediaMark> find_marks(std::string_view text, const ChatTokens& tokens);

// bad_data if the text spells a placeholder of the model that is no word (<|image_pad|>): no picture stands
// there.
void refuse_placeholder(std::string_view text, const ChatTokens& tokens, const std::string& where);
[[noreturn]] void fail_for_placeholder(std::string_view mark, const std::string& where);

}  // namespace longsight::data
