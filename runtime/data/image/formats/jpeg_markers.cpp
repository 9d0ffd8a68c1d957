#include "runtime/data/image/formats/jpeg_markers.h"

#include <array>

namespace longsight::data {
namespace {

using Bytes = std::vector<std::uint8_t>;

class JpegWalk {
 public:
  explicit JpegWalk(const EncodedImage& encoded) : encoded_(encoded) {}

  JpegMarkers run() {
    while (true) {
      const int marker = next_marker();
      if (marker == 0xDA) break;
      if (has_content(marker)) use(marker, content());
    }
    content();
    if (markers_.layers == 0) refuse("no frame header before its first scan");
    return std::move(markers_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const { refuse_image(encoded_, "JPEG", what); }

  std::uint8_t byte() {
    std::array<std::uint8_t, 1> b{};
    if (!encoded_.read_at(at_, b)) refuse("the file is truncated");
    ++at_;
    return b[0];
  }

  // The byte behind FF. Junk before it, and fill bytes, are passed over.
  int next_marker() {
    while (true) {
      while (byte() != 0xFF) {
      }
      int code = byte();
      while (code == 0xFF) code = byte();
      if (code == 0) continue;
      if (code < 0xC0) refuse("something that is no marker where one must be");
      return code;
    }
  }

  // Not: the extension C8, restarts, begin and end of a picture, extensions without a meaning.
  static bool has_content(int marker) {
    return marker != 0xC8 && !(marker >= 0xD0 && marker <= 0xD9) && !(marker >= 0xF0 && marker <= 0xFD);
  }

  Bytes content() {
    std::array<std::uint8_t, 2> length{};
    if (!encoded_.read_at(at_, length)) refuse("the file is truncated");
    at_ += 2;
    const u64 bytes = big_endian(length.data(), 2);
    if (bytes <= 2) return {};
    Bytes result = encoded_.part(at_, bytes - 2, "a JPEG marker");
    at_ += bytes - 2;
    return result;
  }

  void use(int marker, const Bytes& content) {
    const std::string_view text = text_of(content);
    if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xCC) return use_frame(content);
    if (marker == 0xDE) return use_frame(content);
    if (marker == 0xDB) return check_tables(content);
    if (marker == 0xE0 && text.starts_with("JFIF") && content.size() < 7) refuse("a short JFIF marker");
    if (marker == 0xEE && text.starts_with("Adobe") && content.size() < 7) refuse("a short Adobe marker");
    if (marker == 0xE1) use_metadata(text);
  }

  void use_frame(const Bytes& content) {
    if (content.size() < 6 || (content.size() - 6) % 3 != 0) refuse("a frame header of a wrong length");
    if (content[0] != 8) refuse(fmt::format("{} bits for a sample; 8 can be read", content[0]));
    const int layers = content[5];
    if (layers != 1 && layers != 3 && layers != 4)
      refuse(fmt::format("{} colour components; gray, colour and CMYK (1, 3, 4) can be read", layers));
    markers_.layers = layers;
    markers_.size = {static_cast<i64>(big_endian(content.data() + 1, 2)),
                     static_cast<i64>(big_endian(content.data() + 3, 2))};
  }

  void check_tables(const Bytes& content) const {
    for (std::size_t at = 0; at < content.size();) {
      at += content[at] < 16 ? 65 : 129;
      if (at > content.size()) refuse("a short quantisation table");
    }
  }

  void use_metadata(std::string_view text) {
    constexpr std::string_view exif("Exif\0\0", 6);
    constexpr std::string_view xmp("http://ns.adobe.com/xap/1.0/\0", 29);
    ImageMetadata& metadata = markers_.metadata;
    if (text.starts_with(exif)) {  // a block of more than 64 KiB is cut into several markers
      if (!metadata.exif) metadata.exif.emplace();
      metadata.exif->insert(metadata.exif->end(), text.begin() + exif.size(), text.end());
    } else if (text.starts_with(xmp)) {
      metadata.xmp = text.substr(xmp.size());
    }
  }

  const EncodedImage& encoded_;
  JpegMarkers markers_;
  u64 at_ = 2;
};

}  // namespace

JpegMarkers read_jpeg_markers(const EncodedImage& encoded) {
  return JpegWalk(encoded).run();
}

}  // namespace longsight::data
