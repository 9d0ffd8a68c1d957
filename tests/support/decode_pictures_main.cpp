// decode_pictures < NAMES: for each file named on standard input a line: the size and CRC-32 of its RGB bytes
// as read, the hash with white behind it, the size of its header, and the number of warnings; or "refused"
// and why.
#include <iostream>

#include <zlib.h>

#include "runtime/data/image/formats/image_decode.h"

using namespace longsight;
using namespace longsight::data;

int main() {
  for (std::string name; std::getline(std::cin, name);) {
    int warnings = 0;
    const auto count = [&](PictureWarning, std::string_view, std::string_view) { ++warnings; };
    const auto digest = [](const Image& image) {
      return fmt::format("{:08x}", crc32_z(0, image.rgb.data(), image.rgb.size()));
    };
    try {
      const Image image = decode_image_file(name, {.warn = count});
      const Image white = decode_image_file(name, {.alpha = Alpha::white});
      const ImageSize header = read_image_size(name);
      fmt::print("{} {} {} {} {} {} {}\n", image.width, image.height, digest(image), digest(white),
                 header.width, header.height, warnings);
    } catch (const Error& error) {
      fmt::print("refused {} {}\n", static_cast<int>(error.code()), error.what());
    }
  }
}
