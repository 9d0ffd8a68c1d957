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
  // `<image>` in a text stands for the next listed image, `<video>` for the next listed video (a list of the
  // paths of its frames); a sample that lists no image takes those that belong to it without being named.
  void list_image(const Json& path);
  void list_video(const Json& frames);

  // A message is begun, filled and ended. `where` begins its errors.
  void begin_message(Role role, bool loss, std::string where);
  // Cut at <image> and <video>. A line break directly behind such a placeholder (or in front of one that ends
  // the text) belongs to it.
  void add_text(std::string_view text);
  void add_listed(PartKind kind);
  void add_image(const Json& path);
  void add_video(const Json& frames, double frames_per_second);
  void end_message();

  ChatSample take();

 private:
  // Media that are listed apart from the texts, and the places that wait for them.
  struct Listed {
    std::vector<ChatMedia> media;
    std::vector<std::size_t> waiting;  // indices into sample_.media
  };

  MediaFile file_of(const Json& value, const std::string& where);
  ChatMedia video_of(const Json& frames, double frames_per_second, const std::string& where);
  void list_unnamed_images();
  void place(Listed& listed, const char* kind);
  ChatMessage& message() { return sample_.messages.back(); }

  const MediaResolver& media_;
  ChatSample sample_;
  std::string message_where_;
  Listed images_, videos_;
  i64 data_uris_ = 0;
};

// A JSON value for a message, cut short.
std::string shown(const Json& value);

}  // namespace longsight::data
