#include "runtime/data/image/image_decode.h"

#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/base/shorten.h"
#include "runtime/data/file_window.h"
#include "runtime/data/image/image_codec.h"

namespace longsight::data {
namespace {

constexpr i64 kMaxFileBytes = i64{1} << 30;
constexpr i64 kWarnPixels = 89478485;  // where Pillow begins to warn of decompression bombs

struct Opened {
  FileHandle file;
  std::array<std::uint8_t, 16> start{};
  std::size_t start_bytes = 0;

  std::span<const std::uint8_t> first_bytes() const { return std::span(start).first(start_bytes); }
};

Opened open_image(const MediaFile& media) {
  Opened opened;
  const std::string name = name_of(media);
  opened.file = media.offset == 0 && media.bytes < 0 ? FileHandle(std::fopen(media.path.c_str(), "rb"))
                                                     : open_window(media);
  require(opened.file != nullptr, ExitCode::missing_input, "{}: cannot open the image: {}", name,
          std::strerror(errno));
  opened.start_bytes = std::fread(opened.start.data(), 1, opened.start.size(), opened.file.get());
  require(!std::ferror(opened.file.get()), ExitCode::missing_input, "{}: cannot read the image: {}", name,
          std::strerror(errno));
  std::rewind(opened.file.get());
  return opened;
}

std::span<const std::uint8_t> bytes_of(const std::string& content) {
  return {reinterpret_cast<const std::uint8_t*>(content.data()), content.size()};
}

std::vector<std::uint8_t> read_rest(std::FILE* file, std::string_view name) {
  std::vector<std::uint8_t> bytes;
  std::size_t used = 0;
  while (true) {
    bytes.resize(std::max<std::size_t>(std::size_t{1} << 16, used * 2));
    const std::size_t got = std::fread(bytes.data() + used, 1, bytes.size() - used, file);
    used += got;
    if (got == 0 || used < bytes.size()) break;
    require(used <= kMaxFileBytes, ExitCode::bad_data, "{}: the image file is larger than 1 GiB", name);
  }
  require(!std::ferror(file), ExitCode::missing_input, "{}: cannot read the image: {}", name,
          std::strerror(errno));
  bytes.resize(used);
  return bytes;
}

std::string_view other_format(std::span<const std::uint8_t> start) {
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  if (text.starts_with("GIF8")) return "a GIF";
  if (text.starts_with("RIFF") && text.substr(8).starts_with("WEBP")) return "a WebP";
  if (text.starts_with("BM")) return "a BMP";
  if (text.starts_with(std::string_view("II*\0", 4)) || text.starts_with(std::string_view("MM\0*", 4))) {
    return "a TIFF";
  }
  return text.empty() ? "an empty" : "an unknown";
}

enum class Format { jpeg, png };

Format format_of(std::span<const std::uint8_t> start, std::string_view name) {
  if (is_jpeg(start)) return Format::jpeg;
  if (is_png(start)) return Format::png;
  fail(ExitCode::bad_data, "{}: {} file, not a JPEG or PNG image; convert it to one of these", name,
       other_format(start));
}

ImageHeader read_header(Format format, const EncodedImage& encoded, const DecodeOptions& options) {
  ImageHeader header = format == Format::jpeg ? read_jpeg_header(encoded) : read_png_header(encoded);
  const auto [height, width] = header.size;
  require(height > 0 && width > 0 && height <= kMaxImageSide && width <= kMaxImageSide, ExitCode::bad_data,
          "{}: an image of {} x {} pixels; sides must be from 1 to {}", encoded.name, width, height,
          kMaxImageSide);
  require(height * width <= options.max_pixels, ExitCode::bad_data,
          "{}: an image of {} x {} = {} pixels, more than the limit of {}; make it smaller", encoded.name,
          width, height, height * width, options.max_pixels);
  return header;
}

int orientation_of(const ImageHeader& header, const DecodeOptions& options) {
  return options.exif_orientation ? orientation_of(header.metadata) : 1;
}

ImageSize header_size(Format format, const EncodedImage& encoded, const DecodeOptions& options) {
  const ImageHeader header = read_header(format, encoded, options);
  return oriented_size(header.size, orientation_of(header, options));
}

}  // namespace

Image decode_image(std::span<const std::uint8_t> bytes, std::string_view name, const DecodeOptions& options) {
  const EncodedImage encoded{.bytes = bytes, .name = name};
  const Format format = format_of(bytes.first(std::min<std::size_t>(bytes.size(), 16)), name);
  const ImageHeader header = read_header(format, encoded, options);
  const int orientation = orientation_of(header, options);
  if (options.warn && header.size.height * header.size.width > kWarnPixels) {
    options.warn(
        fmt::format("{}: a very large image of {} x {} pixels", name, header.size.width, header.size.height));
  }
  Image image = format == Format::jpeg ? decode_jpeg(encoded) : decode_png(encoded, options);
  return apply_orientation(std::move(image), orientation);
}

std::string name_of(const MediaFile& file) {
  const std::string path = shortened(file.path, kMostOfPath);
  return file.offset == 0 ? path : fmt::format("{} at byte {}", path, file.offset);
}

Image decode_image_file(const MediaFile& media, const DecodeOptions& options) {
  const std::string name = name_of(media);
  if (media.content) return decode_image(bytes_of(*media.content), name, options);
  const Opened opened = open_image(media);
  format_of(opened.first_bytes(), name);  // before a large file of another kind is read
  return decode_image(read_rest(opened.file.get(), name), name, options);
}

Image decode_image_file(const std::string& path, const DecodeOptions& options) {
  return decode_image_file(MediaFile{.path = path}, options);
}

ImageSize read_image_size(std::span<const std::uint8_t> bytes, std::string_view name,
                          const DecodeOptions& options) {
  const Format format = format_of(bytes.first(std::min<std::size_t>(bytes.size(), 16)), name);
  return header_size(format, {.bytes = bytes, .name = name}, options);
}

ImageSize read_image_size(const MediaFile& media, const DecodeOptions& options) {
  const std::string name = name_of(media);
  if (media.content) return read_image_size(bytes_of(*media.content), name, options);
  const Opened opened = open_image(media);
  const Format format = format_of(opened.first_bytes(), name);
  return header_size(format, {.file = opened.file.get(), .name = name}, options);
}

ImageSize read_image_size(const std::string& path, const DecodeOptions& options) {
  return read_image_size(MediaFile{.path = path}, options);
}

}  // namespace longsight::data
