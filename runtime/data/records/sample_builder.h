// Puts a ChatSample together from what the formats say, and checks what holds for all of them. Internal to
// this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/chat/chat_sample.h"
#include "runtime/data/records/media_reference.h"

namespace longsight::data {

// How a record asks for a picture of its list: the next one, or one by its number from 0.
struct ListedMedia {
  PartKind kind = PartKind::image;
  std::optional<i64> number = {};
  AskedSize size = {};
  double frames_per_second = 0;
};

class SampleBuilder {
 public:
  // `ignored`: keys that the user says mean nothing. Both are referred to.
  SampleBuilder(std::string where, const MediaResolver& media, const std::vector<std::string>& ignored)
      : references_(media), ignored_(ignored) {
    sample_.where = std::move(where);
  }
  const std::string& where() const { return sample_.where; }
  // An object of the record, read strictly.
  RecordObject object(const Record& value, std::vector<std::string> used, const KeyTable& others,
                      std::string where) const {
    return {value, std::move(used), others, ignored_, std::move(where)};
  }

  void set_id(const RecordObject& record);  // its "id", if it has one
  void set_plain() { sample_.plain = true; }
  void set_tools(Record tools) { sample_.tools = std::move(tools); }
  // The system message in front, for a record that gives it beside its messages; empty: none. One among the
  // messages may only say the same.
  void set_system(const std::string& text, const std::string& where);
  // `<image>` in a text of the user stands for the next listed image, `<video>` for the next listed video (a
  // list of its frames); a sample that lists no image takes those that belong to it without being named.
  void list_image(const Record& image, const std::string& where);
  void list_video(const Record& frames, const std::string& where);

  // A message is begun, filled and ended. `where` begins its errors.
  void begin_message(Role role, bool loss, std::string where);
  void set_template_key(const std::string& key, Record value);
  // Of the user: cut at <image> and <video>; \<image> is the word. Of others it stays as it is.
  void add_text(std::string_view text);
  void add_listed(const ListedMedia& media);
  void add_image(const Record& image, const AskedSize& size, const std::string& where);
  void add_video(const Record& frames, double frames_per_second, const AskedSize& size,
                 const std::string& where);
  void end_message();

  ChatSample take();

 private:
  // A place that waits for a listed image or video.
  struct Waiting {
    std::size_t media = 0;  // in sample_.media
    std::optional<i64> number;
  };
  // Media that are listed apart from the texts.
  struct Listed {
    std::vector<ChatMedia> media;
    std::vector<Waiting> waiting;
    std::vector<std::size_t> named;  // in sample_.media: those that name their files themselves
  };

  Listed& listed(bool video) { return video ? videos_ : images_; }
  ChatMedia video_of(const Record& frames, const std::string& where);
  void add_named(ChatMedia media);
  void list_unnamed_images();
  void place(Listed& listed, const char* kind);
  void place_by_number(Listed& listed, const char* kind);
  void drop_repeated(Listed& listed, const char* kind);
  void put(const Waiting& to, const ChatMedia& media);
  ChatMessage& message() { return sample_.messages.back(); }

  MediaReferences references_;
  const std::vector<std::string>& ignored_;
  ChatSample sample_;
  std::string message_where_;
  bool system_beside_ = false;
  Listed images_, videos_;
};

}  // namespace longsight::data
