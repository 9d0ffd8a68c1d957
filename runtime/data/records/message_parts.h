// The parts of a message's content:
//   {"type": "text", "text": TEXT}
//   {"type": "image", "image" | "path" | "url" | "image_url" | "base64": IMAGE, "index": N}
//   {"type": "image_url", "image_url": IMAGE or {"url": IMAGE, "detail"}}
//   {"type": "video", "video": [IMAGE, ...], "fps": NUMBER, "nframes": N}
// images and videos also with "min_pixels", "max_pixels", "resized_height" and "resized_width"; without
// "type" a part is what its one key says. Text in a list stands for a text part.
#pragma once

#include "runtime/data/records/sample_builder.h"

namespace longsight::data {

// Adds a part to the message that is being built.
void read_part(const Record& part, SampleBuilder& sample, const std::string& where);

}  // namespace longsight::data
