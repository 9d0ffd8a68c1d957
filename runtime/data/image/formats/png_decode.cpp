// The pixels of a PNG. Not through libpng, which refuses what Pillow reads (a wrong checksum, no end) and
// reads what Pillow refuses: zlib unpacks, the rest is filters and order.
#include <algorithm>
#include <array>
#include <cstdlib>

#include <zlib.h>

#include "runtime/data/image/formats/image_codec.h"
#include "runtime/data/image/formats/png_chunks.h"

namespace longsight::data {
namespace {

using Kind = Raster::Kind;

class Inflater {
 public:
  Inflater(const EncodedImage& encoded, const std::vector<PngChunks::Part>& parts)
      : encoded_(encoded), parts_(parts) {
    require(inflateInit(&stream_) == Z_OK, ExitCode::internal, "zlib could not start");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Fills the row. False: the stream ended with the row before it. bad_data for a broken stream, and for one
  // that ends inside of a row.
  bool read(std::span<std::uint8_t> row) {
    if (ended_) return false;
    stream_.next_out = row.data();
    stream_.avail_out = static_cast<uInt>(row.size());
    while (stream_.avail_out > 0) {
      if (stream_.avail_in == 0) next_part();
      const int status = inflate(&stream_, Z_NO_FLUSH);
      // Z_NEED_DICT, of a stream with a dictionary that nobody has, would come again and again.
      if (status != Z_OK && status != Z_STREAM_END)
        refuse_image(encoded_, "PNG", stream_.msg != nullptr ? stream_.msg : "broken data");
      ended_ = status == Z_STREAM_END;
      if (ended_ && stream_.avail_out > 0) refuse_image(encoded_, "PNG", "its pixels are truncated");
    }
    return true;
  }

 private:
  void next_part() {
    while (part_ < parts_.size() && left_ == 0) {
      at_ = parts_[part_].at;
      left_ = parts_[part_++].bytes;
    }
    const u64 all = encoded_.bytes.size();
    const u64 count = at_ >= all ? 0 : std::min<u64>({left_, all - at_, u64{1} << 30});
    if (count == 0) refuse_image(encoded_, "PNG", "the file is truncated");
    stream_.next_in = const_cast<Bytef*>(encoded_.bytes.data() + at_);  // zlib does not write to it
    stream_.avail_in = static_cast<uInt>(count);
    at_ += count;
    left_ -= count;
  }

  const EncodedImage& encoded_;
  const std::vector<PngChunks::Part>& parts_;
  z_stream stream_{};
  std::size_t part_ = 0;
  u64 at_ = 0, left_ = 0;
  bool ended_ = false;
};

std::uint8_t paeth(int a, int b, int c) {
  const int pa = std::abs(b - c), pb = std::abs(a - c), pc = std::abs(a + b - 2 * c);
  return static_cast<std::uint8_t>(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

// Takes the filter back: row and the one above it begin with a byte for the filter. `step`: bytes of a pixel.
bool unfilter(std::span<std::uint8_t> row, std::span<const std::uint8_t> above, std::size_t step) {
  const std::size_t n = row.size();
  const auto left = [&](std::size_t i) { return i > step ? row[i - step] : std::uint8_t{0}; };
  switch (row[0]) {
    case 0:
      return true;
    case 1:
      for (std::size_t i = 1; i < n; ++i) row[i] = static_cast<std::uint8_t>(row[i] + left(i));
      return true;
    case 2:
      for (std::size_t i = 1; i < n; ++i) row[i] = static_cast<std::uint8_t>(row[i] + above[i]);
      return true;
    case 3:
      for (std::size_t i = 1; i < n; ++i)
        row[i] = static_cast<std::uint8_t>(row[i] + (left(i) + above[i]) / 2);
      return true;
    case 4:
      for (std::size_t i = 1; i < n; ++i)
        row[i] = static_cast<std::uint8_t>(row[i] + paeth(left(i), above[i], i > step ? above[i - step] : 0));
      return true;
    default:
      return false;
  }
}

// How the samples of a row are stored, and what becomes of them.
struct Samples {
  Raster::Kind kind = Raster::Kind::gray;
  int depth = 8, stored = 1;  // bits of a sample; samples of a pixel
  bool saturated = false;     // 16-bit gray values above 255 were met

  int bits() const { return depth * stored; }

  // The pixel at x of a row.
  void unpack(const std::uint8_t* row, i64 x, std::uint8_t* to) {
    if (depth < 8) {
      const i64 bit = x * depth;
      const int value = row[bit / 8] >> (8 - depth - bit % 8) & ((1 << depth) - 1);
      const int scale = kind == Raster::Kind::gray ? 255 / ((1 << depth) - 1) : 1;
      *to = static_cast<std::uint8_t>(value * scale);
    } else if (depth == 8) {
      std::copy_n(row + x * stored, stored, to);
    } else if (stored == 1) {  // Pillow keeps all 16 bits of gray, and takes at most 255 when it makes it RGB
      saturated = saturated || row[x * 2] != 0;
      *to = row[x * 2] != 0 ? 255 : row[x * 2 + 1];
    } else {
      for (int c = 0; c < stored; ++c) to[c] = row[(x * stored + c) * 2];
    }
  }
};

Samples samples_of(const PngChunks& png) {
  constexpr std::array kinds{Kind::gray,       Kind::gray, Kind::rgb, Kind::palette,
                             Kind::gray_alpha, Kind::gray, Kind::rgba};
  const Kind kind = kinds.at(static_cast<std::size_t>(png.color));
  return {.kind = kind, .depth = png.depth, .stored = static_cast<int>(Raster::channels_of(kind))};
}

// Rows and columns of one pass over the frame, of every step-th pixel. Not interlaced: all in one pass.
struct Pass {
  i64 top, left, row_step, column_step;
};
constexpr std::array<Pass, 7> kInterlaced{
    {{0, 0, 8, 8}, {0, 4, 8, 8}, {4, 0, 8, 4}, {0, 2, 4, 4}, {2, 0, 4, 2}, {0, 1, 2, 2}, {1, 0, 2, 1}}};
constexpr std::array<Pass, 1> kAtOnce{{{0, 0, 1, 1}}};

// False: the stream ended before the last row; the rest stays black.
bool read_png_rows(const EncodedImage& encoded, const PngChunks& png, Samples& samples, Raster& raster) {
  Inflater inflater(encoded, png.data);
  const auto step = static_cast<std::size_t>((samples.bits() + 7) / 8);
  const auto passes = png.interlaced ? std::span<const Pass>(kInterlaced) : std::span<const Pass>(kAtOnce);
  for (const Pass& pass : passes) {
    const i64 columns = ceil_div(std::max<i64>(png.frame.width - pass.left, 0), pass.column_step);
    if (columns == 0) continue;
    const auto bytes = static_cast<std::size_t>(ceil_div(columns * samples.bits(), 8)) + 1;
    std::vector<std::uint8_t> row(bytes), above(bytes);
    for (i64 y = pass.top; y < png.frame.height; y += pass.row_step) {
      if (!inflater.read(row)) return false;
      if (!unfilter(row, above, step)) refuse_image(encoded, "PNG", "an unknown filter");
      std::uint8_t* const to = raster.row(png.top + y) + (png.left + pass.left) * raster.channels();
      if (!png.interlaced && samples.depth == 8) {
        std::copy(row.begin() + 1, row.end(), to);
      } else {
        for (i64 x = 0; x < columns; ++x)
          samples.unpack(row.data() + 1, x, to + x * pass.column_step * raster.channels());
      }
      std::swap(row, above);
    }
  }
  return true;
}

// Of a palette: opacities of its first colours. Otherwise the colour that is transparent, as Pillow compares
// it: its low byte with the 8-bit samples (1-bit gray: black or white).
void set_transparency(const PngChunks& png, Raster& raster) {
  const auto& t = png.transparency;
  if (t.empty()) return;
  if (raster.kind == Raster::Kind::palette) {
    for (std::size_t i = 0; i < std::min<std::size_t>(t.size(), 256); ++i) raster.palette[i][3] = t[i];
  } else if (raster.kind == Raster::Kind::rgb) {
    raster.clear = {t[1], t[3], t[5]};
  } else if (png.depth == 1) {
    const std::uint8_t gray = t[0] != 0 || t[1] != 0 ? 255 : 0;
    raster.clear = {gray, gray, gray};
  } else {
    raster.clear = {t[1], t[1], t[1]};
  }
}

bool is_png(std::span<const std::uint8_t> start) {
  return text_of(start).starts_with("\x89PNG\r\n\x1a\n");
}

ImageHeader png_header(const EncodedImage& encoded) {
  PngChunks png = read_png_chunks(encoded, true);
  return {.size = png.size, .metadata = std::move(png.metadata)};
}

Raster decode_png(const EncodedImage& encoded, const DecodeOptions& options) {
  const PngChunks png = read_png_chunks(encoded, false);
  if (png.frame.height == 0 || png.frame.width == 0) refuse_image(encoded, "PNG", "its frame is empty");
  Samples samples = samples_of(png);
  Raster raster(samples.kind, png.size);
  set_palette(raster, png.palette, 3, false, encoded.name);
  set_transparency(png, raster);
  const bool whole = read_png_rows(encoded, png, samples, raster);
  if (!whole) warn(options, PictureWarning::damaged, encoded, "its data end early, the rest of it is black");
  if (whole && !png.ended) warn(options, PictureWarning::damaged, encoded, "a PNG without its end (IEND)");
  if (!png.data_checked) warn(options, PictureWarning::damaged, encoded, "a PNG with a wrong checksum");
  if (samples.saturated) {
    warn(options, PictureWarning::saturated, encoded,
         "16-bit gray; values above 255 become white, as in Pillow");
  }
  return raster;
}

}  // namespace

const ImageFormat kPng{"PNG", is_png, png_header, decode_png};

}  // namespace longsight::data
