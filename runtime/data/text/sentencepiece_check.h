// libsentencepiece follows the table of a model's normaliser without looking where it leads, and calls itself
// once for each byte of a piece.
#pragma once

#include <string>
#include <string_view>

namespace longsight::data {

// bad_data, naming `file`, if a serialised ModelProto is cut, has a piece of more than 4,096 bytes, or a
// normaliser's table (NormalizerSpec.precompiled_charsmap) that leads outside of itself.
void require_sound_model(std::string_view model, const std::string& file);

}  // namespace longsight::data
