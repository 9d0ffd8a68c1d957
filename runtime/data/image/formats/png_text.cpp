#include "runtime/data/image/formats/png_text.h"

#include <zlib.h>

namespace longsight::data {
namespace {

constexpr std::size_t kMaxInflatedBytes = 1 << 20;
constexpr std::string_view kProfileKey = "Raw profile type exif";
constexpr std::string_view kXmpKey = "XML:com.adobe.xmp";

using Bytes = std::vector<std::uint8_t>;

// The text before the next zero byte, which is taken off too; nothing if there is none.
std::optional<std::string_view> take_field(std::string_view& text) {
  const std::size_t end = text.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view field = text.substr(0, end);
  text.remove_prefix(end + 1);
  return field;
}

// Empty if the stream is broken, as Pillow takes it; an error if it grows too large.
std::string inflated(std::string_view compressed, const EncodedImage& encoded) {
  std::string result(kMaxInflatedBytes + 1, '\0');
  z_stream stream{};
  // zlib does not write to it
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  if (inflateInit(&stream) != Z_OK) return {};
  const int status = inflate(&stream, Z_FINISH);
  const std::size_t size = result.size() - stream.avail_out;
  inflateEnd(&stream);
  if (size > kMaxInflatedBytes) refuse_image(encoded, "PNG", "a compressed text of more than 1 MiB");
  if (status == Z_DATA_ERROR || status == Z_MEM_ERROR || status == Z_NEED_DICT) return {};
  result.resize(size);
  return result;
}

// ImageMagick's form of an EXIF block: "\nexif\n    size\nhexadecimal digits in lines".
std::optional<Bytes> raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return Bytes{};
    text.remove_prefix(end + 1);
  }
  Bytes bytes;
  int high = -1;
  for (const char c : text) {
    if (c == '\n' || c == ' ') continue;
    int digit = -1;
    if (c >= '0' && c <= '9') digit = c - '0';
    if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
    if (digit < 0) return std::nullopt;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<std::uint8_t>(high << 4 | digit));
      high = -1;
    }
  }
  return bytes;
}

}  // namespace

void PngText::keep(std::string_view key, std::string_view text) {
  if (key == kProfileKey) profile_ = raw_profile(text);
  if (key == kXmpKey) xmp_ = text;
}

void PngText::read(std::string_view type, std::string_view content, const EncodedImage& encoded) {
  if (type == "tEXt") {
    if (const auto key = take_field(content)) keep(*key, content);
  } else if (type == "zTXt") {
    const auto key = take_field(content);
    if (!key || content.empty()) return;
    if (content[0] != 0) refuse_image(encoded, "PNG", "an unknown compression of a text");
    keep(*key, inflated(content.substr(1), encoded));
  } else if (type == "iCCP") {
    const std::size_t end = content.find('\0');
    const std::size_t at = end == std::string_view::npos ? 0 : end + 1;
    if (at >= content.size() || content[at] != 0)
      refuse_image(encoded, "PNG", "an unknown compression of a colour profile");
    inflated(content.substr(at + 1), encoded);
  } else if (type == "iTXt") {  // compressed?, method, language, translated key, text
    const auto key = take_field(content);
    if (!key || content.size() < 2) return;
    const bool compressed = content[0] != 0, known = content[1] == 0;
    content.remove_prefix(2);
    if (!take_field(content) || !take_field(content)) return;
    if (!compressed) keep(*key, content);
    if (compressed && known) keep(*key, inflated(content, encoded));
  }
}

void PngText::move_to(ImageMetadata& metadata) {
  if (!metadata.exif) metadata.exif = std::move(profile_);
  metadata.xmp = std::move(xmp_);
}

}  // namespace longsight::data
