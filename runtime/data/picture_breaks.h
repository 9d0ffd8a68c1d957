// Line breaks behind pictures. Texts keep theirs as they are written, in every form: "<image>\nWhat?" is a
// picture and "\nWhat?". The templates of LLaVA and InternVL write a line break behind each picture by
// themselves, which for data made for these models (and as their first authors trained them) is that same
// one.
#pragma once

#include "runtime/data/chat_sample.h"

namespace longsight::data {

// The sample for such a template: a line break with which a text begins directly behind a picture or video is
// left to the template. `pictures_first`: the template also moves them in front of the text; then a line
// break between the text and one that ends the message goes too.
ChatSample without_picture_breaks(ChatSample sample, bool pictures_first);

}  // namespace longsight::data
