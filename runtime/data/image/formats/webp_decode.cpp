// WebP through libwebp's decoder of animations, as Pillow calls it: the first frame on its canvas.
#include <algorithm>
#include <array>
#include <memory>

#include <webp/decode.h>
#include <webp/demux.h>

#include "runtime/data/image/formats/image_codec.h"

namespace longsight::data {
namespace {

struct DecoderDeleter {
  void operator()(WebPAnimDecoder* decoder) const noexcept { WebPAnimDecoderDelete(decoder); }
};
using Decoder = std::unique_ptr<WebPAnimDecoder, DecoderDeleter>;

bool is_webp(std::span<const std::uint8_t> start) {
  const std::string_view text = text_of(start);
  if (text.size() < 16 || !text.starts_with("RIFF") || text.substr(8, 4) != "WEBP") return false;
  const std::string_view kind = text.substr(12, 4);
  return kind == "VP8 " || kind == "VP8X" || kind == "VP8L";
}

ImageSize webp_size(const EncodedImage& encoded) {
  std::array<std::uint8_t, 30> start{};
  const std::size_t count = encoded.read_some(0, start);
  const std::string_view kind = text_of(start).substr(12, 4);
  const auto number = [&](std::size_t at, int width) {
    return static_cast<i64>(little_endian(start.data() + at, width));
  };
  if (kind == "VP8X" && count >= 30) return {number(27, 3) + 1, number(24, 3) + 1};
  if (kind == "VP8 " && count >= 30 && text_of(start).substr(23, 3) == "\x9d\x01\x2a")
    return {number(28, 2) & 0x3FFF, number(26, 2) & 0x3FFF};
  if (kind == "VP8L" && count >= 25 && start[20] == 0x2F) {
    const i64 bits = number(21, 4);
    return {(bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1};
  }
  refuse_image(encoded, "WebP", "its header cannot be read");
}

// EXIF and XMP stand behind the pictures; only the extended form has them.
ImageHeader webp_header(const EncodedImage& encoded) {
  ImageHeader header{.size = webp_size(encoded), .metadata = {}};
  std::array<std::uint8_t, 16> start{};
  encoded.read_some(0, start);
  if (text_of(start).substr(12, 4) != "VP8X") return header;
  const u64 end = little_endian(start.data() + 4, 4) + 8;
  std::array<std::uint8_t, 8> head{};
  bool exif = false, xmp = false;
  for (u64 at = 12; at + 8 <= end && encoded.read_at(at, head);) {
    const std::string_view kind = text_of(head).substr(0, 4);
    const u64 bytes = little_endian(head.data() + 4, 4);
    if (kind == "EXIF" && !exif) {
      header.metadata.exif = encoded.part(at + 8, bytes, "an EXIF block");
      exif = true;
    }
    if (kind == "XMP " && !xmp) {
      header.metadata.xmp = text_of(encoded.part(at + 8, bytes, "an XMP block"));
      xmp = true;
    }
    at += 8 + bytes + (bytes & 1);
  }
  return header;
}

Raster decode_webp(const EncodedImage& encoded, const DecodeOptions& options) {
  WebPBitstreamFeatures features{};
  const bool known = WebPGetFeatures(encoded.bytes.data(), encoded.bytes.size(), &features) == VP8_STATUS_OK;
  const WebPData data{encoded.bytes.data(), encoded.bytes.size()};
  WebPAnimDecoderOptions once{};
  WebPAnimDecoderOptionsInit(&once);
  once.use_threads = 0;
  const Decoder decoder(WebPAnimDecoderNew(&data, &once));
  WebPAnimInfo info{};
  if (!decoder || !WebPAnimDecoderGetInfo(decoder.get(), &info))
    refuse_image(encoded, "WebP", "its chunks are damaged, or the file is truncated");
  const ImageSize size{static_cast<i64>(info.canvas_height), static_cast<i64>(info.canvas_width)};
  require_size(size, encoded.name, options.max_pixels);
  std::uint8_t* pixels = nullptr;
  int time = 0;
  if (!WebPAnimDecoderGetNext(decoder.get(), &pixels, &time))
    refuse_image(encoded, "WebP", "its picture is damaged, or the file is truncated");
  const auto count = static_cast<std::size_t>(size.height * size.width);
  const bool opaque = known && features.has_alpha == 0;
  Raster raster(opaque ? Raster::Kind::rgb : Raster::Kind::rgba, size);
  if (!opaque) {
    std::copy_n(pixels, count * 4, raster.samples.begin());
    return raster;
  }
  for (std::size_t i = 0; i < count; ++i) std::copy_n(pixels + i * 4, 3, raster.samples.data() + i * 3);
  return raster;
}

}  // namespace

const ImageFormat kWebp{"WebP", is_webp, webp_header, decode_webp};

}  // namespace longsight::data
