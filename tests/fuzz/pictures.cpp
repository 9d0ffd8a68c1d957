// Pictures: they are decoded or refused, and the header says the size that the picture has.
#include <algorithm>
#include <vector>

#include "runtime/data/image/formats/image_decode.h"
#include "tests/fuzz/targets.h"

using namespace longsight;
using namespace longsight::data;

namespace {

// `start`: the bytes that a file of the format begins with, ? for any.
void decode(fuzz::Bytes input, std::string_view start) {
  std::vector<std::uint8_t> bytes(input.begin(), input.end());
  for (std::size_t i = 0; i < std::min(start.size(), bytes.size()); ++i)
    if (start[i] != '?') bytes[i] = static_cast<std::uint8_t>(start[i]);
  // As large as a picture may be takes too long to fill.
  const DecodeOptions options{.alpha = bytes.size() % 2 == 0 ? Alpha::white : Alpha::drop,
                              .max_pixels = 1 << 20};
  fuzz::read_or_refuse([&] {
    const Image image = decode_image(bytes, "picture", options);
    if (read_image_size(bytes, "picture", options) != image.size()) fuzz::fault("two sizes");
  });
}

}  // namespace

namespace longsight::fuzz {

void bmp(Bytes bytes) {
  decode(bytes, "BM");
}
void gif(Bytes bytes) {
  decode(bytes, "GIF8?a");
}
void jpeg(Bytes bytes) {
  decode(bytes, "\xff\xd8\xff");
}
void png(Bytes bytes) {
  decode(bytes, "\x89PNG\r\n\x1a\n");
}
void tiff(Bytes bytes) {
  decode(bytes, std::string_view("II*\0", 4));
}
void webp(Bytes bytes) {
  decode(bytes, "RIFF????WEBPVP8");
}

}  // namespace longsight::fuzz
