#include "runtime/data/image/formats/png_chunks.h"

#include <algorithm>

#include <zlib.h>

#include "runtime/data/image/formats/png_text.h"

namespace longsight::data {
namespace {

using Bytes = std::vector<std::uint8_t>;

bool is_chunk_type(std::string_view type) {
  return std::all_of(type.begin(), type.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool is_known_depth(int depth, int color) {
  switch (color) {
    case 0:
      return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case 3:
      return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case 2:
    case 4:
    case 6:
      return depth == 8 || depth == 16;
    default:
      return false;
  }
}

class PngWalk {
 public:
  PngWalk(const EncodedImage& encoded, bool headers_only) : encoded_(encoded), headers_only_(headers_only) {}

  PngChunks run() {
    while (next()) {
      if (type_ == "IDAT") break;
      if (type_ == "IEND") refuse("there is no picture in it");
      const Bytes content = take();
      if (!headers_only_) check_sum(content);
      use(content);
    }
    if (type_ != "IDAT") refuse("the file is truncated");
    require_header();
    read_data();
    read_rest();
    text_.move_to(chunks_.metadata);
    return std::move(chunks_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const { refuse_image(encoded_, "PNG", what); }

  // The head of the next chunk; false where the file ends before it.
  bool next() {
    std::array<std::uint8_t, 8> head{};
    type_.clear();
    if (!encoded_.read_at(at_, head)) return false;
    size_ = big_endian(head.data(), 4);
    if (!is_chunk_type(text_of(head).substr(4))) {
      if (in_data_) return false;
      refuse("a chunk without a type");
    }
    type_ = text_of(head).substr(4);
    at_ += 8;
    return true;
  }

  // The content of the chunk, where it is needed; goes on behind its checksum.
  Bytes take() {
    constexpr std::string_view used[] = {"IHDR", "PLTE", "tRNS", "tEXt", "zTXt",
                                         "iTXt", "iCCP", "eXIf", "fcTL", "acTL"};
    const u64 at = at_;
    at_ += size_ + 4;
    if (!headers_only_ && !in_data_) return encoded_.part(at, size_, "a PNG chunk");
    const bool wanted = std::find(std::begin(used), std::end(used), type_) != std::end(used);
    if (wanted) return encoded_.part(at, size_, "a PNG chunk");
    std::array<std::uint8_t, 1> end{};
    if (size_ > 0 && !headers_only_ && !encoded_.read_at(at + size_ - 1, end))
      refuse("the file is truncated");
    return {};
  }

  void check_sum(const Bytes& content) const {
    std::array<std::uint8_t, 4> sum{};
    uLong found = crc32(0, reinterpret_cast<const Bytef*>(type_.data()), 4);
    found = crc32_z(found, content.data(), content.size());
    if (!encoded_.read_at(at_ - 4, sum) || big_endian(sum.data(), 4) != found)
      refuse("a wrong checksum of chunk " + type_);
  }

  void use(const Bytes& content) {
    const auto least = [&](std::size_t bytes) {
      if (content.size() < bytes) refuse("a short chunk " + type_);
    };
    if (type_ == "IHDR") {
      least(13);
      // What has been read so far (transparency, place of a frame) is of the first one. Pillow would mix
      // them.
      if (has_header_) refuse("a second header (IHDR)");
      has_header_ = true;
      chunks_.size = {static_cast<i64>(big_endian(content.data() + 4, 4)),
                      static_cast<i64>(big_endian(content.data(), 4))};
      chunks_.frame = chunks_.size;
      if (is_known_depth(content[8], content[9])) {
        chunks_.depth = content[8];
        chunks_.color = content[9];
      }
      if (content[11] != 0) refuse("an unknown kind of filter");
      chunks_.interlaced = chunks_.interlaced || content[12] != 0;
    } else if (type_ == "PLTE") {
      if (chunks_.color == 3 && chunks_.depth > 0 && !in_data_) chunks_.palette = content;
    } else if (type_ == "tRNS") {
      if (chunks_.depth == 0 || chunks_.color > 3) return;
      if (chunks_.color != 3) least(chunks_.color == 2 ? 6 : 2);
      chunks_.transparency = content;
    } else if (type_ == "eXIf") {
      chunks_.metadata.exif = content;
    } else if (type_ == "fcTL") {
      least(26);
      use_frame(content);
    } else if (type_ == "acTL") {
      least(8);
      const u64 frames = big_endian(content.data(), 4);
      animated_ = !animated_ && frames > 0 && frames <= 0x80000000U;
    } else if (type_ == "gAMA" || type_ == "cHRM" || type_ == "sRGB" || type_ == "pHYs") {
      if (!in_data_ && !headers_only_)
        least(type_ == "cHRM" ? 32 : type_ == "sRGB" ? 1 : type_ == "pHYs" ? 9 : 4);
      if (in_data_ && size_ < (type_ == "cHRM" ? 32 : type_ == "sRGB" ? 1 : type_ == "pHYs" ? 9U : 4U))
        refuse("a short chunk " + type_);
    } else {
      text_.read(type_, text_of(content), encoded_);
    }
  }

  // Of an animation: in order, and inside the picture.
  void use_frame(const Bytes& content) {
    const auto number = [&](std::size_t at) { return static_cast<i64>(big_endian(content.data() + at, 4)); };
    if (number(0) != frames_) refuse("frames of an animation out of order");
    ++frames_;
    const i64 width = number(4), height = number(8), left = number(12), top = number(16);
    if (left + width > chunks_.size.width || top + height > chunks_.size.height)
      refuse("a frame of an animation outside of the picture");
    if (in_data_) return;
    chunks_.left = left;
    chunks_.top = top;
    chunks_.frame = {height, width};
  }

  void require_header() const {
    if (chunks_.depth == 0) refuse("no header, or one with an unknown depth");
  }

  void read_data() {
    in_data_ = true;
    do {
      chunks_.data.push_back({at_, size_});
      at_ += size_ + 4;
      if (!headers_only_) check_data();
      type_.clear();
    } while (next() && (type_ == "IDAT" || type_ == "DDAT"));
  }

  void check_data() {
    const auto all = encoded_.bytes;
    if (at_ > all.size() || !chunks_.data_checked) {
      chunks_.data_checked = false;
      return;
    }
    const uLong sum = crc32_z(0, all.data() + (at_ - size_ - 8), static_cast<std::size_t>(size_ + 4));
    chunks_.data_checked = sum == big_endian(all.data() + (at_ - 4), 4);
  }

  // Text and EXIF may stand behind the pixels, too.
  void read_rest() {
    while (!type_.empty()) {
      if (type_ == "IEND") {
        chunks_.ended = true;
        return;
      }
      if (type_ == "fcTL" && animated_) return;  // the next frame
      const Bytes content = take();
      if (type_ != "IDAT" && type_ != "fdAT") use(content);
      type_.clear();
      if (!next()) return;
    }
  }

  const EncodedImage& encoded_;
  bool headers_only_;
  PngChunks chunks_;
  PngText text_;
  u64 at_ = 8;  // behind the signature
  u64 size_ = 0;
  std::string type_;  // empty: the file ended
  bool in_data_ = false, animated_ = false;
  bool has_header_ = false;
  i64 frames_ = 0;
};

}  // namespace

PngChunks read_png_chunks(const EncodedImage& encoded, bool headers_only) {
  return PngWalk(encoded, headers_only).run();
}

}  // namespace longsight::data
