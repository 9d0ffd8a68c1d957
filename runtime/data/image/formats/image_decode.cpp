#include "runtime/data/image/formats/image_decode.h"

#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/base/input_file.h"
#include "runtime/base/shorten.h"
#include "runtime/data/image/file_window.h"
#include "runtime/data/image/formats/content_name.h"
#include "runtime/data/image/formats/image_codec.h"

namespace longsight::data {
namespace {

constexpr i64 kMaxFileBytes = i64{1} << 30;
constexpr std::size_t kStartBytes = 512;  // to know a format, or to say what it is instead
constexpr i64 kWarnPixels = 89478485;     // where Pillow begins to warn of decompression bombs

struct Opened {
  FileHandle file;
  std::array<std::uint8_t, kStartBytes> start{};
  std::size_t start_bytes = 0;

  std::span<const std::uint8_t> first_bytes() const { return std::span(start).first(start_bytes); }
};

Opened open_image(const MediaFile& media) {
  Opened opened;
  const std::string name = name_of(media);
  std::string why;
  const int descriptor = open_plain_file(media.path, why);
  require(descriptor >= 0, ExitCode::missing_input, "{}: cannot open the image: {}", name, why);
  opened.file = open_window(media, descriptor);
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

constexpr const ImageFormat* kFormats[] = {&kJpeg, &kPng, &kGif, &kWebp, &kBmp, &kTiff};

const ImageFormat& format_of(std::span<const std::uint8_t> start, std::string_view name) {
  for (const ImageFormat* format : kFormats)
    if (format->matches(start)) return *format;
  fail(ExitCode::bad_data, "{}: {}", name, name_of_content(start));
}

ImageHeader read_header(const ImageFormat& format, const EncodedImage& encoded,
                        const DecodeOptions& options) {
  ImageHeader header = format.read_header(encoded);
  require_size(header.size, encoded.name, options.max_pixels);
  return header;
}

int orientation_of(const ImageHeader& header, std::string_view name, const DecodeOptions& options) {
  if (!options.exif_orientation && !header.always_oriented) return 1;
  try {
    return orientation_of(header.metadata);
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", name, error.what());
  }
}

ImageSize header_size(const ImageFormat& format, const EncodedImage& encoded, const DecodeOptions& options) {
  const ImageHeader header = read_header(format, encoded, options);
  return oriented_size(header.size, orientation_of(header, encoded.name, options));
}

}  // namespace

void warn(const DecodeOptions& options, PictureWarning kind, const EncodedImage& encoded,
          std::string_view what) {
  if (options.warn) options.warn(kind, encoded.name, what);
}

void require_size(ImageSize size, std::string_view name, i64 max_pixels) {
  const auto [height, width] = size;
  require(height > 0 && width > 0 && height <= kMaxImageSide && width <= kMaxImageSide, ExitCode::bad_data,
          "{}: an image of {} x {} pixels; sides must be from 1 to {}", name, width, height, kMaxImageSide);
  require(height * width <= max_pixels, ExitCode::bad_data,
          "{}: an image of {} x {} = {} pixels, more than the limit of {}; make it smaller", name, width,
          height, height * width, max_pixels);
}

Image decode_image(std::span<const std::uint8_t> bytes, std::string_view name, const DecodeOptions& options) {
  const EncodedImage encoded{.bytes = bytes, .name = name};
  const ImageFormat& format = format_of(bytes.first(std::min<std::size_t>(bytes.size(), kStartBytes)), name);
  const ImageHeader header = read_header(format, encoded, options);
  const int orientation = orientation_of(header, name, options);
  if (header.size.height * header.size.width > kWarnPixels) {
    warn(options, PictureWarning::large, encoded,
         fmt::format("a very large image of {} x {} pixels", header.size.width, header.size.height));
  }
  Raster raster = format.decode(encoded, options);
  require(raster.size == header.size, ExitCode::bad_data,
          "{}: corrupt {}: its header says {} x {} pixels, it has {} x {}", name, format.name,
          header.size.width, header.size.height, raster.size.width, raster.size.height);
  bool dropped = false;
  Image image = to_rgb(std::move(raster), options.alpha, dropped);
  if (dropped) {
    warn(options, PictureWarning::transparent, encoded,
         "transparent parts show the colours stored there (data.images.alpha: white puts white behind them)");
  }
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
  const ImageFormat& format = format_of(bytes.first(std::min<std::size_t>(bytes.size(), kStartBytes)), name);
  return header_size(format, {.bytes = bytes, .name = name}, options);
}

ImageSize read_image_size(const MediaFile& media, const DecodeOptions& options) {
  const std::string name = name_of(media);
  if (media.content) return read_image_size(bytes_of(*media.content), name, options);
  const Opened opened = open_image(media);
  const ImageFormat& format = format_of(opened.first_bytes(), name);
  return header_size(format, {.file = opened.file.get(), .name = name}, options);
}

ImageSize read_image_size(const std::string& path, const DecodeOptions& options) {
  return read_image_size(MediaFile{.path = path}, options);
}

}  // namespace longsight::data
