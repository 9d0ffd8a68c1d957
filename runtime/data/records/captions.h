// Pictures with a caption, as img2dataset writes them into shards: a picture (or several), a text, and a JSON
// object with what is known about them. The sample asks with the pictures alone and answers with the caption.
#pragma once

#include <optional>
#include <string>

#include "runtime/data/records/sample_builder.h"

namespace longsight::data {

struct CaptionFiles {
  const Record* metadata = nullptr;      // null: there is no JSON
  std::optional<std::string> text = {};  // of the .txt, if there is one
  std::string text_name = {};            // for messages
  i64 pictures = 0;                      // which the sample takes without naming them
};

// The caption is the text, without a line break that ends it, or "caption" of the metadata where there is no
// text. bad_data: neither, two that differ, no picture, "status" other than "success", an unknown key in the
// metadata.
void read_caption(const CaptionFiles& files, SampleBuilder& sample);

}  // namespace longsight::data
