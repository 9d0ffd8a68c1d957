// Puts a ChatSample together from what the formats say, and checks what holds for all of them. Internal to
// this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/data/chat_sample.h"
#include "runtime/data/media_resolver.h"

namespace longsight::data {

class SampleBuilder {
 public:
  SampleBuilder(std::string where, const MediaResolver& media) : media_(media) {
    sample_.where = std::move(where);
  }
  const std::string& where() const { return sample_.where; }

  void set_id(const Json& record);  // its "id", if it has one
  void set_plain() { sample_.plain = true; }
  // `<image>` in a text stands for the next listed image; a sample that lists none takes those that belong to
  // it without being named.
  void list_image(const Json& path);

  // A message is begun, filled and ended. `where` begins its errors.
  void begin_message(Role role, bool loss, std::string where);
  // Cut at <image>. A line break directly behind such an <image> (or in front of one that ends the text)
  // belongs to it.
  void add_text(std::string_view text);
  void add_listed_image();
  void add_image(const Json& path);
  void add_video(const Json& frames, double frames_per_second);
  void end_message();

  ChatSample take();

 private:
  MediaFile file_of(const Json& value, const std::string& where);
  ChatMessage& message() { return sample_.messages.back(); }

  const MediaResolver& media_;
  ChatSample sample_;
  std::string message_where_;
  std::vector<MediaFile> listed_;
  std::vector<std::size_t> waiting_;  // media that take the listed images
  i64 data_uris_ = 0;
};

// A JSON value for a message, cut short.
std::string shown(const Json& value);

}  // namespace longsight::data
