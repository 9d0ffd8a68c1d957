// Random bytes as a picture (libFuzzer): it is decoded or refused as bad data, and its header says the size
// that it has. One program for each format, told by LONGSIGHT_FUZZ_START, the bytes that a file of it begins
// with. Built with -D LONGSIGHT_FUZZ=ON by clang; see scripts/soak.sh.
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "runtime/data/image/image_decode.h"

using namespace longsight;
using namespace longsight::data;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> bytes(data, data + size);
  constexpr std::string_view start(LONGSIGHT_FUZZ_START, sizeof(LONGSIGHT_FUZZ_START) - 1);
  for (std::size_t i = 0; i < std::min(start.size(), bytes.size()); ++i)
    if (start[i] != '?') bytes[i] = static_cast<std::uint8_t>(start[i]);
  // As large as a picture may be takes too long to fill.
  const DecodeOptions options{.alpha = size % 2 == 0 ? Alpha::white : Alpha::drop, .max_pixels = 1 << 20};
  try {
    const Image image = decode_image(bytes, "picture", options);
    if (read_image_size(bytes, "picture", options) != image.size()) std::abort();
  } catch (const Error& error) {
    if (error.code() != ExitCode::bad_data) std::abort();
  }
  return 0;
}
