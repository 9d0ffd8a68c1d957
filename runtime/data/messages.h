// Reads chat data in OpenAI's style, one JSON object a line:
//   {"messages": [{"role": "system" | "user" | "assistant", "content": TEXT or PARTS, "loss": BOOL}, ...],
//    "images": [IMAGE, ...], "videos": [[IMAGE, ...], ...], "id": TEXT}
// IMAGE: a path, or the picture itself as data:image/TYPE;base64,DATA.
// PARTS: {"type": "text", "text": TEXT}, {"type": "image", "image": IMAGE}, {"type": "image_url",
// "image_url": IMAGE or {"url": IMAGE}}, {"type": "video", "video": [IMAGE, ...], "fps": NUMBER}.
// `<image>` in a text, and {"type": "image"} without a path, stand for the next entry of `images`; `<video>`
// and {"type": "video"} without frames for the next of `videos`. A line break directly behind such a
// placeholder (or in front of one that ends the text) belongs to it. "loss": false leaves an assistant's
// message out of the loss. Other keys beside `messages` are ignored.
#pragma once

#include <string>

#include "runtime/data/record_data.h"

namespace longsight::data {

// The message list of a record.
void read_messages(const Json& record, SampleBuilder& sample);

class MessagesFile final : public RecordData {
 public:
  // Pictures are relative to `media_folder` and must stay under it, links followed; empty: the folder of the
  // file. An index written before is looked for beside the file or in `index_folder`.
  explicit MessagesFile(const std::string& path, const std::string& media_folder = "",
                        const std::string& index_folder = "")
      : RecordData(path, std::make_unique<MediaFolder>(path, media_folder), read_messages, index_folder) {}
};

}  // namespace longsight::data
