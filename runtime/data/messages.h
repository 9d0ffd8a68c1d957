// Reads chat data in OpenAI's style, one JSON object a line:
//   {"messages": [{"role": "system" | "user" | "assistant", "content": TEXT or PARTS, "loss": BOOL}, ...],
//    "images": [PATH, ...], "id": TEXT}
// PARTS: {"type": "text", "text": TEXT}, {"type": "image", "image": PATH}, {"type": "image_url", "image_url":
// PATH or {"url": PATH}}.
// `<image>` in a text, and {"type": "image"} without a path, stand for the next entry of `images`. A line
// break directly behind such an <image> (or in front of one that ends the text) belongs to it. "loss": false
// leaves an assistant's message out of the loss. Other keys beside `messages` are ignored.
#pragma once

#include <string>

#include "runtime/base/json.h"
#include "runtime/data/chat_sample.h"

namespace longsight::data {

class MessagesFile {
 public:
  // Reads the whole file once and checks every sample, so that what is wrong with the data is found at the
  // start: bad_data with file:line for a malformed sample, a number of <image> that is not the number of
  // images, an image outside of the media folder, a URL or data URI, a conversation in which nothing is to be
  // learned, a file without samples; missing_input for a file or image that is not there. Image paths are
  // relative to `media_folder` and must stay under it, links followed; empty: the folder of the file.
  explicit MessagesFile(const std::string& path, const std::string& media_folder = "");

  i64 size() const { return lines_.size(); }
  ChatSample sample(i64 index) const;  // parsed on demand; any thread
  std::string where(i64 index) const { return lines_.where(index); }
  u64 fingerprint() const { return lines_.fingerprint(); }

 private:
  std::string image_path(const std::string& path, const std::string& where) const;

  JsonLinesIndex lines_;
  std::string media_folder_;  // as given, for paths that are opened
  std::string media_root_;    // resolved, ends with a slash
};

}  // namespace longsight::data
