// Images and videos that a record lists beside its texts, in every format the same.
#pragma once

#include "runtime/data/records/sample_builder.h"

namespace longsight::data {

struct ListKeys {
  std::string images = "images", videos = "videos";
};

// "images": IMAGE or [IMAGE, ...], "videos": [VIDEO, ...], a VIDEO being the list of its frames. "image" is
// another name for images, "video" for videos or for the frames of one; bad_data if both names are there.
void list_media(const RecordObject& record, const ListKeys& keys, SampleBuilder& sample);

}  // namespace longsight::data
