// The first frame of a GIF. Not through giflib: Pillow has a reader of its own, and what it takes of damaged
// files is told by how it reads them.
#include <algorithm>
#include <array>

#include "runtime/data/image/formats/image_codec.h"

namespace longsight::data {
namespace {

// Up to the compressed pixels of the first frame.
struct Frame {
  ImageSize canvas;
  i64 left = 0, top = 0;
  ImageSize size;
  std::vector<std::uint8_t> palette;  // red, green, blue; empty: gray
  int transparent = -1;               // an index
  bool interlaced = false;
  int bits = 0;     // of an index
  u64 data_at = 0;  // the first block
};

class Reader {
 public:
  explicit Reader(const EncodedImage& encoded) : encoded_(encoded) {}
  u64 at() const { return at_; }

  std::vector<std::uint8_t> take(u64 count) {
    auto bytes = encoded_.part(at_, count, "GIF data");
    at_ += count;
    return bytes;
  }
  // Of a file that ends before: what there is.
  std::vector<std::uint8_t> take_some(u64 count) {
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count));
    bytes.resize(encoded_.read_some(at_, bytes));
    at_ += bytes.size();
    return bytes;
  }
  // A block of an extension; empty: the last one.
  std::vector<std::uint8_t> block() {
    const auto size = take_some(1);
    return size.empty() || size[0] == 0 ? std::vector<std::uint8_t>{} : take_some(size[0]);
  }

 private:
  const EncodedImage& encoded_;
  u64 at_ = 0;
};

// Empty where the colours are the grays of their own indices: such a picture is a gray one.
std::vector<std::uint8_t> palette_of(std::vector<std::uint8_t> colors) {
  for (std::size_t i = 0; i + 2 < colors.size(); i += 3) {
    const std::size_t gray = i / 3;
    if (colors[i] != gray || colors[i + 1] != gray || colors[i + 2] != gray) return colors;
  }
  return {};
}

void read_extension(Reader& in, Frame& frame, const EncodedImage& encoded) {
  const std::uint8_t label = in.take(1)[0];
  const auto block = in.block();
  if (label == 0xF9 && !block.empty()) {
    if (block.size() < 4) refuse_image(encoded, "GIF", "a short control block");
    if (block[0] & 1) frame.transparent = block[3];
  }
  if (label == 0xFE && block.empty()) return;  // a comment without text ends here
  while (!in.block().empty()) {
  }
}

void read_descriptor(Reader& in, Frame& frame, const std::vector<std::uint8_t>& global) {
  const auto d = in.take(9);
  frame.left = static_cast<i64>(little_endian(d.data(), 2));
  frame.top = static_cast<i64>(little_endian(d.data() + 2, 2));
  frame.size = {static_cast<i64>(little_endian(d.data() + 6, 2)),
                static_cast<i64>(little_endian(d.data() + 4, 2))};
  frame.canvas.width = std::max(frame.canvas.width, frame.left + frame.size.width);
  frame.canvas.height = std::max(frame.canvas.height, frame.top + frame.size.height);
  frame.interlaced = (d[8] & 64) != 0;
  frame.palette = (d[8] & 128) ? palette_of(in.take_some(u64{3} << ((d[8] & 7) + 1))) : global;
  frame.bits = in.take(1)[0];
  frame.data_at = in.at();
}

Frame read_frame(const EncodedImage& encoded) {
  Reader in(encoded);
  Frame frame;
  const auto screen = in.take(13);
  frame.canvas = {static_cast<i64>(little_endian(screen.data() + 8, 2)),
                  static_cast<i64>(little_endian(screen.data() + 6, 2))};
  std::vector<std::uint8_t> global;
  if (screen[10] & 128) global = palette_of(in.take_some(u64{3} << ((screen[10] & 7) + 1)));
  while (true) {
    const auto kind = in.take_some(1);
    if (kind.empty() || kind[0] == ';') refuse_image(encoded, "GIF", "there is no picture in it");
    if (kind[0] == '!') read_extension(in, frame, encoded);
    if (kind[0] != ',') continue;
    read_descriptor(in, frame, global);
    return frame;
  }
}

// Where the next pixel goes: rows in order, or every 8th, the 4th between them, every 4th, every 2nd.
class Pixels {
 public:
  Pixels(Raster& raster, const Frame& frame) : raster_(raster), frame_(frame) {
    if (frame.interlaced) step_ = 8;
    pass_ = frame.interlaced ? 1 : 0;
  }
  // False: all of the frame is there.
  bool put(std::uint8_t index) {
    raster_.row(frame_.top + y_)[frame_.left + x_] = index;
    if (++x_ < frame_.size.width) return true;
    x_ = 0;
    y_ += step_;
    while (y_ >= frame_.size.height) {
      if (pass_ == 0) return false;
      y_ = pass_ == 1 ? 4 : pass_ == 2 ? 2 : 1;
      if (pass_ == 2) step_ = 4;
      if (pass_ == 3) step_ = 2;
      pass_ = (pass_ + 1) % 4;
    }
    return true;
  }

 private:
  Raster& raster_;
  const Frame& frame_;
  i64 x_ = 0, y_ = 0, step_ = 1;
  int pass_ = 0;  // 1, 2, 3: there are passes behind this one
};

// Codes of 3 to 12 bits from blocks of up to 255 bytes. Pillow reads the file in pieces of 64 KiB and asks
// for the next one whenever it cannot go on, also after an end code: no next piece is a truncated file.
class Codes {
 public:
  Codes(const EncodedImage& encoded, u64 at) : encoded_(encoded), at_(at), limit_(at) { more(); }
  void more() {
    if (limit_ >= encoded_.bytes.size()) refuse_image(encoded_, "GIF", "the file is truncated");
    limit_ = std::min<u64>(encoded_.bytes.size(), limit_ + 65536);
  }
  int next(int width) {
    while (held_ < width) {
      if (block_ > 0) {
        buffer_ |= static_cast<unsigned>(encoded_.bytes[at_++]) << held_;
        held_ += 8;
        --block_;
        continue;
      }
      while (at_ >= limit_ || limit_ - at_ < u64{encoded_.bytes[at_]} + 1) more();
      block_ = encoded_.bytes[at_++];
    }
    const unsigned code = buffer_ & ((1U << width) - 1);
    buffer_ >>= width;
    held_ -= width;
    return static_cast<int>(code);
  }

 private:
  const EncodedImage& encoded_;
  u64 at_, limit_;
  int block_ = 0, held_ = 0;
  unsigned buffer_ = 0;
};

void decode_lzw(const EncodedImage& encoded, const Frame& frame, Raster& raster) {
  constexpr int most = 4096;
  if (frame.bits > 12) refuse_image(encoded, "GIF", "indices of more than 12 bits");
  const int clear = 1 << frame.bits, end = clear + 1;
  std::array<std::uint16_t, most> link{};
  std::array<std::uint8_t, most> last{};
  std::vector<std::uint8_t> text;  // of a code, backwards
  Codes codes(encoded, frame.data_at);
  Pixels pixels(raster, frame);
  int width = frame.bits + 1, next = clear + 2, before = -1;
  std::uint8_t first = 0;  // pixel of the text of the code before
  while (true) {
    int code = codes.next(width);
    if (code == clear) {
      if (before >= 0) {
        width = frame.bits + 1;
        next = clear + 2;
        before = -1;
      }
      continue;
    }
    if (code == end) {
      codes.more();
      continue;
    }
    text.clear();
    if (before < 0) {
      if (code > clear) refuse_image(encoded, "GIF", "a code without meaning");
      first = static_cast<std::uint8_t>(code);
      before = code;
      text.push_back(first);
    } else {
      const int given = code;
      if (code > next) refuse_image(encoded, "GIF", "a code without meaning");
      if (code == next) {
        text.push_back(first);
        code = before;
      }
      while (code >= clear) {
        if (code >= most || text.size() >= most) refuse_image(encoded, "GIF", "a code without meaning");
        text.push_back(last[static_cast<std::size_t>(code)]);
        code = link[static_cast<std::size_t>(code)];
      }
      first = static_cast<std::uint8_t>(code);
      text.push_back(first);
      if (next < most) {
        last[static_cast<std::size_t>(next)] = first;
        link[static_cast<std::size_t>(next)] = static_cast<std::uint16_t>(before);
        if (next == (1 << width) - 1 && width < 12) ++width;
        ++next;
      }
      before = given;
    }
    for (auto p = text.rbegin(); p != text.rend(); ++p)
      if (!pixels.put(*p)) return;
  }
}

bool is_gif(std::span<const std::uint8_t> start) {
  return text_of(start).starts_with("GIF87a") || text_of(start).starts_with("GIF89a");
}

ImageHeader gif_header(const EncodedImage& encoded) {
  return {.size = read_frame(encoded).canvas, .metadata = {}};
}

Raster decode_gif(const EncodedImage& encoded, const DecodeOptions&) {
  const Frame frame = read_frame(encoded);
  if (frame.size.height == 0 || frame.size.width == 0) refuse_image(encoded, "GIF", "its picture is empty");
  Raster raster(frame.palette.empty() ? Raster::Kind::gray : Raster::Kind::palette, frame.canvas);
  set_palette(raster, frame.palette, 3, false, encoded.name);
  if (frame.transparent >= 0) {
    const auto index = static_cast<std::uint8_t>(frame.transparent);
    std::fill(raster.samples.begin(), raster.samples.end(), index);
    if (raster.kind == Raster::Kind::palette) raster.palette[index][3] = 0;
    if (raster.kind == Raster::Kind::gray) raster.clear = {index, index, index};
  }
  decode_lzw(encoded, frame, raster);
  return raster;
}

}  // namespace

const ImageFormat kGif{"GIF", is_gif, gif_header, decode_gif};

}  // namespace longsight::data
