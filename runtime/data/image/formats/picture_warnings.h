// Warnings of pictures for the log: each kind once, with the first picture, and at the end with their number.
#pragma once

#include "runtime/data/image/formats/image_decode.h"

namespace longsight::data {

// For DecodeOptions::warn; any thread. A picture that is read again counts once. The numbers are said when
// the last copy of the function is gone.
std::function<void(PictureWarning, std::string_view, std::string_view)> counted_picture_warnings();

}  // namespace longsight::data
