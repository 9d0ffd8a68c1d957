// What a record gives for a picture: a path, a file:// URI, the picture itself in base64, or {"path",
// "bytes"}.
#pragma once

#include <string>

#include "runtime/data/image/media_file.h"
#include "runtime/data/records/media_resolver.h"
#include "runtime/data/records/record_object.h"

namespace longsight::data {

// Reads the references of one sample.
class MediaReferences {
 public:
  explicit MediaReferences(const MediaResolver& media) : media_(media) {}

  // `value` is one of
  //   TEXT          a path or file:// URI; data:[TYPE];base64,DATA with an image's type, "image",
  //                 application/octet-stream or none; base64 without such a head, known by what it decodes to
  //   {"path", "bytes"}   as Pillow images are written by data sets: the bytes (base64) where they are given,
  //                       otherwise the path
  //   {"url"}             as OpenAI's image_url, with "detail": "auto" or "high"
  // What kind of picture it is, its bytes say. bad_data beginning with `where`, missing_input for what is not
  // there.
  MediaFile read(const Record& value, const std::string& where);

  const MediaResolver& resolver() const { return media_; }

 private:
  MediaFile read_text(const std::string& text, const std::string& where);
  MediaFile in_memory(std::string_view base64, const std::string& where);

  const MediaResolver& media_;
  i64 in_memory_ = 0;  // so far
};

}  // namespace longsight::data
