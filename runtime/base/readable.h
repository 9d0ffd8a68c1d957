// Messages that a person reads: names can be as long as a picture in base64, and are of no more use then.
#pragma once

#include <string>
#include <string_view>

namespace longsight {

// The message with each word of more than 400 bytes (what stands between spaces, line ends and quotes) cut to
// its beginning and end, and how long it was. UTF-8 characters stay whole.
std::string readable(std::string_view message);

}  // namespace longsight
