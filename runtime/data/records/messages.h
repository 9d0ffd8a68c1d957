// Reads chat data in OpenAI's style, one JSON object a line:
//   {"messages": [{"role": "system" | "user" | "assistant" | "tool", "content": TEXT or PARTS, "loss": BOOL},
//   ...],
//    "images": [IMAGE, ...], "videos": [[IMAGE, ...], ...], "system": TEXT, "tools": [TOOL, ...], "id": TEXT}
// IMAGE: see media_reference.h; PARTS: see message_parts.h. "image" and "video" are the same as lists of one.
// `<image>` in a text of the user, and {"type": "image"} without a file, stand for the next entry of
// `images`;
// `<video>` and {"type": "video"} without frames for the next of `videos`. \<image> is the word. "loss":
// false leaves an assistant's message out of the loss. All keys: record_keys.h and docs/data.md.
#pragma once

#include <string>

#include "runtime/data/records/record_data.h"

namespace longsight::data {

// The message list of a record.
void read_messages(const Record& record, SampleBuilder& sample);

class MessagesFile final : public RecordData {
 public:
  // Pictures are relative to `media_folder` and must stay under it, links followed; empty: the folder of the
  // file. An index written before is looked for beside the file or in `index_folder`.
  explicit MessagesFile(const std::string& path, const std::string& media_folder = "",
                        const std::string& index_folder = "")
      : RecordData(path, std::make_unique<MediaFolder>(path, media_folder), read_messages, index_folder) {}
};

}  // namespace longsight::data
