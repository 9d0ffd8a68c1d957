#include "runtime/data/records/listed_media.h"

#include <algorithm>

namespace longsight::data {
namespace {

// The value of a key or of its other name.
const Record* one_of(const RecordObject& record, const std::string& key, const std::string& other) {
  const Record* value = record.find(key);
  if (key == other) return value;
  const Record* same = record.find(other);
  require(value == nullptr || same == nullptr, ExitCode::bad_data, "{}: \"{}\" and \"{}\"; keep one of them",
          record.where(), key, other);
  return value != nullptr ? value : same;
}

std::string numbered(const RecordObject& record, const char* kind, std::size_t index) {
  return fmt::format("{}: {} {}", record.where(), kind, index + 1);
}

}  // namespace

void list_media(const RecordObject& record, const ListKeys& keys, SampleBuilder& sample) {
  if (const Record* images = one_of(record, keys.images, "image")) {
    if (!images->is_array()) {
      sample.list_image(*images, record.where());
    } else {
      for (std::size_t i = 0; i < images->size(); ++i)
        sample.list_image((*images)[i], numbered(record, "image", i));
    }
  }
  const Record* videos = one_of(record, keys.videos, "video");
  if (videos == nullptr || (videos->is_array() && videos->empty())) return;
  // "video": [FRAME, ...] is one video; an entry of "videos" that is no list is a film, which video_of
  // refuses.
  const bool one = record.has("video") &&
                   std::none_of(videos->begin(), videos->end(), [](const Record& v) { return v.is_array(); });
  if (one || !videos->is_array()) {
    sample.list_video(*videos, record.where());
  } else {
    for (std::size_t i = 0; i < videos->size(); ++i)
      sample.list_video((*videos)[i], numbered(record, "video", i));
  }
}

}  // namespace longsight::data
