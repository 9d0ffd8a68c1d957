#include "runtime/data/image/png_metadata.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include <zlib.h>

namespace longsight::data {
namespace {

constexpr std::size_t kMaxMetadataBytes = 8'000'000;
constexpr std::size_t kMaxInflatedBytes = 1 << 20;  // Pillow's limit for a compressed text chunk

using Bytes = std::vector<std::uint8_t>;

// The encoded image at any offset, from memory or from the file.
bool read_at(const EncodedImage& encoded, u64 offset, std::span<std::uint8_t> to) {
  if (encoded.file != nullptr) {
    return fseeko(encoded.file, narrow<off_t>(offset), SEEK_SET) == 0 &&
           std::fread(to.data(), 1, to.size(), encoded.file) == to.size();
  }
  if (offset > encoded.bytes.size() || to.size() > encoded.bytes.size() - offset) return false;
  std::memcpy(to.data(), encoded.bytes.data() + offset, to.size());
  return true;
}

u64 big_endian_32(const std::uint8_t* bytes) {
  return u64{bytes[0]} << 24 | u64{bytes[1]} << 16 | u64{bytes[2]} << 8 | bytes[3];
}

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The text before the next zero byte, which is taken off too; nothing if there is none.
std::optional<std::string_view> take_field(std::string_view& text) {
  const std::size_t end = text.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view field = text.substr(0, end);
  text.remove_prefix(end + 1);
  return field;
}

// Empty if the stream is broken, as Pillow takes it; an error if it grows too large.
std::string inflated(std::string_view compressed, std::string_view name) {
  std::string result(kMaxInflatedBytes + 1, '\0');
  z_stream stream{};
  stream.next_in =
      reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));  // zlib does not write to it
  stream.avail_in = static_cast<uInt>(compressed.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  if (inflateInit(&stream) != Z_OK) return {};
  const int status = inflate(&stream, Z_FINISH);
  const std::size_t size = result.size() - stream.avail_out;
  inflateEnd(&stream);
  require(size <= kMaxInflatedBytes, ExitCode::bad_data, "{}: a compressed PNG text of more than 1 MiB",
          name);
  if (status == Z_DATA_ERROR || status == Z_MEM_ERROR) return {};
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

constexpr std::string_view kProfileKey = "Raw profile type exif";
constexpr std::string_view kXmpKey = "XML:com.adobe.xmp";

struct Found {
  std::optional<Bytes> exif;
  std::optional<Bytes> profile;  // counts where there is no exif
  std::string xmp;
};

void keep_text(std::string_view key, std::string_view text, Found& found) {
  if (key == kProfileKey) found.profile = raw_profile(text);
  if (key == kXmpKey) found.xmp = text;
}

void read_text_chunk(std::string_view type, std::string_view data, std::string_view name, Found& found) {
  const auto key = take_field(data);
  if (!key || (*key != kProfileKey && *key != kXmpKey)) return;
  if (type == "tEXt") {
    keep_text(*key, data, found);
  } else if (type == "zTXt") {
    if (!data.empty() && data[0] == 0) keep_text(*key, inflated(data.substr(1), name), found);
  } else {  // iTXt: compressed?, method, language, translated key, text
    if (data.size() < 2) return;
    const bool compressed = data[0] != 0;
    const bool known = data[1] == 0;
    data.remove_prefix(2);
    if (!take_field(data) || !take_field(data)) return;
    if (!compressed) keep_text(*key, data, found);
    if (compressed && known) keep_text(*key, inflated(data, name), found);
  }
}

bool is_chunk_type(std::string_view type) {
  return std::all_of(type.begin(), type.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

}  // namespace

ImageHeader read_png_metadata(const EncodedImage& encoded) {
  std::array<std::uint8_t, 24> start{};
  require(read_at(encoded, 0, start) && big_endian_32(start.data() + 8) == 13 &&
              text_of(start).substr(12, 4) == "IHDR",
          ExitCode::bad_data, "{}: corrupt PNG: it does not begin with its header", encoded.name);
  ImageHeader header;
  header.size = {static_cast<i64>(big_endian_32(start.data() + 20)),
                 static_cast<i64>(big_endian_32(start.data() + 16))};

  Found found;
  u64 at = 8;
  std::array<std::uint8_t, 8> chunk{};
  while (read_at(encoded, at, chunk)) {
    const u64 size = big_endian_32(chunk.data());
    const std::string_view type = text_of(chunk).substr(4, 4);
    if (type == "IEND" || !is_chunk_type(type)) break;
    const bool is_text = type == "tEXt" || type == "zTXt" || type == "iTXt";
    if (is_text || type == "eXIf") {
      require(size <= kMaxMetadataBytes, ExitCode::bad_data, "{}: a PNG chunk {} of {} bytes", encoded.name,
              type, size);
      Bytes data(static_cast<std::size_t>(size));
      if (!read_at(encoded, at + 8, data)) break;
      if (is_text) {
        read_text_chunk(type, text_of(data), encoded.name, found);
      } else {
        found.exif = std::move(data);
      }
    }
    at += 12 + size;
  }
  header.metadata.exif = found.exif ? std::move(found.exif) : std::move(found.profile);
  header.metadata.xmp = std::move(found.xmp);
  return header;
}

}  // namespace longsight::data
