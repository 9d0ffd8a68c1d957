// What a file that is no image, or none that can be read, looks like. Internal to this folder.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace longsight::data {

// "an HTML page, not a picture: its download went wrong", by the first bytes (some hundred are enough).
std::string name_of_content(std::span<const std::uint8_t> start);

}  // namespace longsight::data
