// Line breaks behind pictures. Texts keep theirs as they are written, in every form: "<image>\nWhat?" is a
// picture and "\nWhat?". The templates of LLaVA and InternVL write a line break behind each picture by
// themselves, which for data made for these models (and as their first authors trained them) is that same
// one. Internal to this folder.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/data/chat/chat_context.h"
#include "runtime/data/chat/chat_sample.h"
#include "runtime/data/chat/chat_tokens.h"
#include "runtime/jinja/template.h"

namespace longsight::data {

// What a template does with a picture between two texts, seen by running it.
struct PictureHabits {
  bool writes_break = false;    // a line break of its own behind the picture
  bool pictures_first = false;  // the picture moves in front of both texts
};
// No habits where the template refuses a message with a picture.
PictureHabits picture_habits(const jinja::Template&,
                             const std::vector<std::pair<std::string, std::string>>& named,
                             const ChatTokens& tokens);

// The sample for a template that writes breaks: a line break with which a text begins directly behind a
// picture or video is left to the template. If it also moves pictures in front of the text, a line break
// between the text and a picture that ends the message goes too.
ChatSample without_picture_breaks(ChatSample sample, bool pictures_first);

}  // namespace longsight::data
