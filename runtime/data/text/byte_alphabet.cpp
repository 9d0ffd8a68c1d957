#include "runtime/data/text/byte_alphabet.h"

#include <array>

#include "runtime/data/text/unicode.h"

namespace longsight::data {
namespace {

// Bytes that stand for themselves; the others are written as U+0100, U+0101, ... in order.
bool stands_for_itself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Alphabet {
  std::array<char32_t, 256> letters{};
  std::array<char, 68> shifted{};  // U+0100 + i stands for the i-th of the bytes that need another letter

  Alphabet() {
    std::size_t count = 0;
    for (int byte = 0; byte < 256; ++byte) {
      auto& letter = letters[static_cast<std::size_t>(byte)];
      if (stands_for_itself(byte)) {
        letter = static_cast<char32_t>(byte);
      } else {
        letter = static_cast<char32_t>(256 + count);
        shifted[count++] = static_cast<char>(byte);
      }
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet made;
  return made;
}

}  // namespace

std::optional<std::string> bytes_of_alphabet(std::string_view text) {
  const auto& shifted = alphabet().shifted;
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point(text.data() + at);
    at += static_cast<std::size_t>(point.bytes);
    if (point.value < 256 && stands_for_itself(static_cast<int>(point.value))) {
      bytes.push_back(static_cast<char>(point.value));
    } else if (point.value >= 256 && point.value < 256 + shifted.size()) {
      bytes.push_back(shifted[point.value - 256]);
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

std::string to_alphabet(std::string_view bytes) {
  const auto& letters = alphabet().letters;
  std::string text;
  for (const char byte : bytes) append_utf8(text, letters[static_cast<unsigned char>(byte)]);
  return text;
}

}  // namespace longsight::data
