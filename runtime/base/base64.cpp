#include "runtime/base/base64.h"

#include <array>
#include <cstdint>

namespace longsight {
namespace {

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNone = 255;

std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNone);
  for (std::size_t i = 0; i < kLetters.size(); ++i) {
    values[static_cast<unsigned char>(kLetters[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  static const std::array<std::uint8_t, 256> values = make_values();
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  int held = 0;  // bits of `bits` that are not in a byte yet
  std::size_t digits = 0, padding = 0;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const std::uint8_t value = values[static_cast<unsigned char>(c)];
    if (value == kNone || padding > 0) return std::nullopt;
    ++digits;
    bits = bits << 6 | value;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>(bits >> held & 0xFF));
    }
  }
  const std::size_t rest = digits % 4;
  if (rest == 1 || (padding != 0 && padding != (4 - rest) % 4)) return std::nullopt;
  if ((bits & ((1U << held) - 1)) != 0) return std::nullopt;
  return bytes;
}

}  // namespace longsight
