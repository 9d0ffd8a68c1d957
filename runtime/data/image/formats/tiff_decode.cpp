// The first picture of a TIFF as Pillow reads it: uncompressed ones from the file itself, all others through
// libtiff.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include <tiffio.h>

#include "runtime/data/image/formats/image_codec.h"
#include "runtime/data/image/formats/tiff_directory.h"
#include "runtime/data/image/formats/tiff_samples.h"

namespace longsight::data {
namespace {

using Kind = Raster::Kind;

constexpr int kRaw = 1, kOldJpeg = 6, kJpeg7 = 7;
constexpr i64 kYcbcr = 6;

bool is_tiff(std::span<const std::uint8_t> start) {
  using namespace std::string_view_literals;
  for (const std::string_view prefix :
       {"MM\0\x2a"sv, "II\x2a\0"sv, "MM\x2a\0"sv, "II\0\x2a"sv, "MM\0\x2b"sv, "II\x2b\0"sv})
    if (text_of(start).starts_with(prefix)) return true;
  return false;
}

ImageSize tiff_size(const EncodedImage& encoded, const TiffDirectory& directory) {
  const auto width = directory.number(tiff_tag::width), height = directory.number(tiff_tag::height);
  if (!width || !height) refuse_image(encoded, "TIFF", "it does not say its size");
  return {*height, *width};
}

ImageHeader tiff_header(const EncodedImage& encoded) {
  const TiffDirectory directory(encoded);
  ImageHeader header{.size = tiff_size(encoded, directory), .metadata = {}, .always_oriented = true};
  if (const auto turned = directory.number(tiff_tag::orientation)) {
    header.metadata.orientation = *turned >= 1 && *turned <= 8 ? static_cast<int>(*turned) : 1;
  } else {
    header.metadata.xmp = text_of(directory.bytes(tiff_tag::xmp));
  }
  return header;
}

// Where a piece of an uncompressed picture lies in it, and its first byte in the file.
struct Piece {
  i64 left, top, width, height, stride;
  int plane;
  u64 at;
};

std::vector<Piece> pieces_of(const EncodedImage& encoded, const TiffDirectory& directory, ImageSize size,
                             const TiffSamples& samples, int planes) {
  std::vector<i64> offsets = directory.numbers(tiff_tag::strip_offsets);
  i64 width = size.width, height = directory.number(tiff_tag::rows_per_strip).value_or(size.height);
  if (offsets.empty()) {
    offsets = directory.numbers(tiff_tag::tile_offsets);
    width = directory.number(tiff_tag::tile_width).value_or(0);
    height = directory.number(tiff_tag::tile_height).value_or(0);
  }
  if (offsets.empty() || width <= 0 || height <= 0)
    refuse_image(encoded, "TIFF", "it does not say where its pixels are");
  height = std::min(height, size.height);
  if (width == size.width && height == size.height && planes == 1) offsets = {offsets.back()};
  std::vector<Piece> pieces;
  i64 x = 0, y = 0;
  int plane = 0;
  for (const i64 offset : offsets) {
    if (plane >= planes || y >= size.height)
      refuse_image(encoded, "TIFF", "more strips or tiles than it has room for");
    const i64 used = std::min(width, size.width - x);
    pieces.push_back({.left = x,
                      .top = y,
                      .width = used,
                      .height = std::min(height, size.height - y),
                      .stride = ceil_div((used < width ? width : used) * samples.bits * samples.stored, 8),
                      .plane = plane,
                      .at = static_cast<u64>(offset)});
    x += width;
    if (x < size.width) continue;
    x = 0;
    y += height;
    if (y < size.height || planes == 1) continue;
    y = 0;
    ++plane;
  }
  return pieces;
}

// Pillow takes of the description of a pixel one letter for each plane, and so forgets widths and inversions.
TiffSamples sample_of_plane(const EncodedImage& encoded, const TiffDirectory& directory,
                            const TiffSamples& samples, const Raster& raster) {
  const bool tiles = directory.has(tiff_tag::tile_width);
  const bool one = samples.stored == 1 && (samples.bits <= 8 || samples.bits == 32) && !samples.backwards;
  const bool colors = (raster.kind == Kind::rgb || raster.kind == Kind::rgba || raster.kind == Kind::cmyk) &&
                      samples.stored == raster.channels() && !samples.premultiplied &&
                      directory.number(tiff_tag::photometric) != kYcbcr;
  if (!(one || colors) || (tiles && samples.bits != 8))
    refuse_image(encoded, "TIFF", "planes of a kind that Pillow does not read either");
  if (one && samples.bits == 32) return samples;
  return {.kind = one ? raster.kind : Kind::gray,
          .bits = one && raster.kind == Kind::gray && samples.bits == 1 ? 1 : 8};
}

void read_raw(const EncodedImage& encoded, const TiffDirectory& directory, const TiffSamples& samples,
              bool separate, Raster& raster, bool& saturated) {
  const TiffSamples of_plane = separate ? sample_of_plane(encoded, directory, samples, raster) : samples;
  const int planes = separate ? samples.stored : 1;
  const u64 all = encoded.bytes.size();
  std::vector<std::uint8_t> row(static_cast<std::size_t>(raster.size.width * raster.channels()));
  for (const Piece& piece : pieces_of(encoded, directory, raster.size, of_plane, planes)) {
    const u64 needed = static_cast<u64>(piece.stride * (piece.height - 1) + of_plane.row_bytes(piece.width));
    if (piece.at > all || all - piece.at < needed) refuse_image(encoded, "TIFF", "the file is truncated");
    for (i64 y = 0; y < piece.height; ++y) {
      const std::uint8_t* from = encoded.bytes.data() + piece.at + y * piece.stride;
      std::uint8_t* to = raster.row(piece.top + y) + piece.left * raster.channels();
      if (planes == 1) {
        of_plane.unpack(from, piece.width, to, saturated);
        continue;
      }
      for (i64 x = 0; x < piece.width; ++x) to[x * raster.channels() + piece.plane] = from[x];
    }
  }
}

// --- libtiff over the bytes in memory ---

struct Memory {
  std::span<const std::uint8_t> bytes;
  u64 at = 0;
};

tmsize_t read_memory(thandle_t handle, void* to, tmsize_t count) {
  Memory& memory = *static_cast<Memory*>(handle);
  if (memory.at >= memory.bytes.size()) return 0;
  const auto got = std::min<u64>(static_cast<u64>(count), memory.bytes.size() - memory.at);
  std::memcpy(to, memory.bytes.data() + memory.at, static_cast<std::size_t>(got));
  memory.at += got;
  return static_cast<tmsize_t>(got);
}
tmsize_t write_nothing(thandle_t, void*, tmsize_t) {
  return 0;
}
toff_t seek_memory(thandle_t handle, toff_t offset, int whence) {
  Memory& memory = *static_cast<Memory*>(handle);
  memory.at = whence == SEEK_SET   ? offset
              : whence == SEEK_CUR ? memory.at + offset
                                   : memory.bytes.size() + offset;
  return memory.at;
}
int close_nothing(thandle_t) {
  return 0;
}
toff_t size_of_memory(thandle_t handle) {
  return static_cast<Memory*>(handle)->bytes.size();
}
int map_memory(thandle_t handle, void** base, toff_t* size) {
  Memory& memory = *static_cast<Memory*>(handle);
  *base = const_cast<std::uint8_t*>(memory.bytes.data());  // libtiff does not write to it
  *size = memory.bytes.size();
  return 1;
}
void unmap_nothing(thandle_t, void*, toff_t) {}

struct TiffCloser {
  void operator()(TIFF* tiff) const noexcept { TIFFClose(tiff); }
};
using Handle = std::unique_ptr<TIFF, TiffCloser>;

// libtiff prints by default; what it says of a picture is in our error.
void be_silent() {
  static const bool once = [] {
    TIFFSetErrorHandler(nullptr);
    TIFFSetWarningHandler(nullptr);
    return true;
  }();
  (void)once;
}

class Compressed {
 public:
  Compressed(const EncodedImage& encoded, u64 directory, ImageSize size)
      : encoded_(encoded), memory_{encoded.bytes} {
    be_silent();
    tiff_.reset(TIFFClientOpen("picture", "rC", &memory_, read_memory, write_nothing, seek_memory,
                               close_nothing, size_of_memory, map_memory, unmap_nothing));
    if (!tiff_ || TIFFSetSubDirectory(tiff_.get(), directory) == 0) refuse();
    std::uint32_t width = 0, height = 0;
    TIFFGetField(tiff_.get(), TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff_.get(), TIFFTAG_IMAGELENGTH, &height);
    if (size != ImageSize{height, width}) refuse();
    // zlib, as Pillow's libtiff has it alone: a wrong check sum behind all pixels is not looked at, which
    // libdeflate takes for damage.
    std::uint16_t compression = 0;
    TIFFGetField(tiff_.get(), TIFFTAG_COMPRESSION, &compression);
    if (compression == COMPRESSION_ADOBE_DEFLATE || compression == COMPRESSION_DEFLATE)
      TIFFSetField(tiff_.get(), TIFFTAG_DEFLATE_SUBCODEC, DEFLATE_SUBCODEC_ZLIB);
  }

  TIFF* get() const { return tiff_.get(); }
  bool tiled() const { return TIFFIsTiled(tiff_.get()) != 0; }
  [[noreturn]] void refuse() const {
    refuse_image(encoded_, "TIFF", "its compressed data are damaged or truncated");
  }

 private:
  const EncodedImage& encoded_;
  Memory memory_;
  Handle tiff_;
};

// YCbCr that libjpeg does not convert: by libtiff's own rules.
void read_as_rgba(const Compressed& file, Raster& raster) {
  TIFF* tiff = file.get();
  std::uint32_t block = 0;
  const int tag = file.tiled() ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP;
  if (TIFFGetFieldDefaulted(tiff, static_cast<std::uint32_t>(tag), &block) != 1 || block == 0 ||
      static_cast<i64>(block) > raster.size.height)
    block = static_cast<std::uint32_t>(raster.size.height);
  std::array<char, 1024> message{};
  TIFFRGBAImage image{};
  if (TIFFRGBAImageOK(tiff, message.data()) == 0 || TIFFRGBAImageBegin(&image, tiff, 0, message.data()) == 0)
    file.refuse();
  const std::unique_ptr<TIFFRGBAImage, void (*)(TIFFRGBAImage*)> end(&image, TIFFRGBAImageEnd);
  image.orientation = image.req_orientation = ORIENTATION_TOPLEFT;
  std::vector<std::uint32_t> pixels(static_cast<std::size_t>(block) *
                                    static_cast<std::size_t>(raster.size.width));
  for (i64 top = 0; top < raster.size.height; top += block) {
    const auto rows = static_cast<std::uint32_t>(std::min<i64>(block, raster.size.height - top));
    image.row_offset = static_cast<int>(top);
    if (TIFFRGBAImageGet(&image, pixels.data(), image.width, rows) == 0) file.refuse();
    for (i64 i = 0; i < static_cast<i64>(rows) * raster.size.width; ++i) {
      const std::uint32_t p = pixels[static_cast<std::size_t>(i)];
      std::uint8_t* to = raster.row(top) + i * 3;
      to[0] = static_cast<std::uint8_t>(TIFFGetR(p));
      to[1] = static_cast<std::uint8_t>(TIFFGetG(p));
      to[2] = static_cast<std::uint8_t>(TIFFGetB(p));
    }
  }
}

// Strips, or tiles, as libtiff unpacks them, into the picture; of separate planes one after the other.
void read_pieces(const Compressed& file, const TiffSamples& samples, bool separate, bool names_extra,
                 Raster& raster, bool& saturated) {
  TIFF* tiff = file.get();
  const i64 channels = raster.channels();
  const bool planes_apart = separate && channels > 1;
  if (planes_apart && samples.bits != 8 && samples.bits != 16) file.refuse();
  const bool opacity_lost = channels == 2;  // Pillow puts the second plane where nothing reads it
  if (planes_apart && samples.stored != channels) file.refuse();
  const int planes = planes_apart ? static_cast<int>(channels) : 1;
  TiffSamples layout = samples;
  if (planes_apart) layout = {.kind = Raster::Kind::gray, .bits = samples.bits, .stored = 1};
  std::uint32_t width = static_cast<std::uint32_t>(raster.size.width), height = 0;
  if (file.tiled()) {
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &height);
  } else if (TIFFGetField(tiff, TIFFTAG_ROWSPERSTRIP, &height) != 1 || height == UINT32_MAX) {
    height = static_cast<std::uint32_t>(raster.size.height);
  }
  const tmsize_t bytes = file.tiled() ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
  const tmsize_t row_bytes = file.tiled() ? TIFFTileRowSize(tiff) : TIFFScanlineSize(tiff);
  if (width == 0 || height == 0 || bytes <= 0 || bytes > INT32_MAX || row_bytes <= 0 || row_bytes > bytes)
    file.refuse();
  const i64 expected = layout.row_bytes(width);
  if (row_bytes != expected || bytes > expected * static_cast<i64>(height)) file.refuse();
  std::vector<std::uint8_t> piece(static_cast<std::size_t>(bytes));
  std::vector<std::uint8_t> line(static_cast<std::size_t>(width));
  for (i64 top = 0; top < raster.size.height; top += height) {
    for (int plane = 0; plane < planes; ++plane) {
      for (i64 left = 0; left < raster.size.width; left += width) {
        const auto x = static_cast<std::uint32_t>(left), y = static_cast<std::uint32_t>(top);
        const auto layer = static_cast<std::uint16_t>(plane);
        const tmsize_t got =
            file.tiled() ? TIFFReadTile(tiff, piece.data(), x, y, 0, layer)
                         : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, y, layer), piece.data(), bytes);
        if (got == -1) file.refuse();
        if (plane > 0 && opacity_lost) continue;  // but a damaged one is refused
        const i64 rows = std::min<i64>(height, raster.size.height - top);
        const i64 columns = std::min<i64>(width, raster.size.width - left);
        for (i64 row = 0; row < rows; ++row) {
          const std::uint8_t* from = piece.data() + row * row_bytes;
          std::uint8_t* to = raster.row(top + row) + left * channels;
          if (!planes_apart) {
            layout.unpack(from, columns, to, saturated);
            continue;
          }
          const i64 step = samples.bits / 8;
          for (i64 c = 0; c < columns; ++c) to[c * channels + plane] = from[c * step + step - 1];
        }
      }
    }
  }
  if (planes_apart && raster.kind == Raster::Kind::rgba && (samples.premultiplied || !names_extra))
    unpremultiply(raster.samples);
}

// In Pillow's fixed point numbers of 6 bits.
void rgb_from_ycbcr(std::span<std::uint8_t> pixels) {
  const auto scaled = [](double factor, int value) {
    return static_cast<int>(factor * (value - 128) * 64 + 0.5);
  };
  const auto clipped = [](int value) { return static_cast<std::uint8_t>(std::clamp(value, 0, 255)); };
  for (std::size_t i = 0; i + 3 <= pixels.size(); i += 3) {
    const int y = pixels[i], cb = pixels[i + 1], cr = pixels[i + 2];
    pixels[i] = clipped(y + (scaled(1.402, cr) >> 6));
    pixels[i + 1] = clipped(y + ((scaled(-0.34414, cb) + scaled(-0.71414, cr)) >> 6));
    pixels[i + 2] = clipped(y + (scaled(1.772, cb) >> 6));
  }
}

void read_compressed(const EncodedImage& encoded, const TiffDirectory& directory, const TiffSamples& samples,
                     i64 compression, bool separate, Raster& raster, bool& saturated) {
  const Compressed file(encoded, directory.offset(), raster.size);
  // The libtiff of Pillow keeps more than four places, or sizes, of pieces in another way than fewer, and
  // refuses one of the other.
  constexpr u64 kFew = 4;
  const bool tiled = file.tiled();
  if ((directory.count(tiled ? tiff_tag::tile_offsets : tiff_tag::strip_offsets) > kFew) !=
      (directory.count(tiled ? tiff_tag::tile_bytes : tiff_tag::strip_bytes) > kFew))
    file.refuse();
  std::uint16_t photometric = 0;
  TIFFGetField(file.get(), TIFFTAG_PHOTOMETRIC, &photometric);
  if (photometric == PHOTOMETRIC_YCBCR) {
    if (compression != kJpeg7 || separate) return read_as_rgba(file, raster);
    TIFFSetField(file.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  }
  read_pieces(file, samples, separate, directory.has(tiff_tag::extra_samples), raster, saturated);
}

Raster decode_tiff(const EncodedImage& encoded, const DecodeOptions& options) {
  const TiffDirectory directory(encoded);
  const i64 compression = directory.number(tiff_tag::compression).value_or(kRaw);
  if (compression == kOldJpeg) {
    fail(ExitCode::bad_data,
         "{}: a TIFF with JPEG of the old kind (compression 6), which is not read; save it anew",
         encoded.name);
  }
  const TiffSamples samples = tiff_samples(encoded, directory, compression != kRaw);
  const bool separate = directory.planes_apart();
  const i64 photometric = directory.number(tiff_tag::photometric).value_or(0);
  Raster raster(photometric == kYcbcr && compression != kRaw ? Raster::Kind::rgb : samples.kind,
                tiff_size(encoded, directory));
  if (raster.kind == Raster::Kind::palette || raster.kind == Raster::Kind::palette_alpha) {
    const std::vector<i64> colors = directory.numbers(tiff_tag::colors);  // all reds, all greens, all blues
    const std::size_t count = colors.size() / 3;
    std::vector<std::uint8_t> entries;
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t c = 0; c < 3; ++c)
        entries.push_back(static_cast<std::uint8_t>(colors[c * count + i] >> 8));
    if (entries.empty()) refuse_image(encoded, "TIFF", "there is no palette in it");
    set_palette(raster, entries, 3, false, encoded.name);
  }
  bool saturated = false;
  if (compression == kRaw) {
    read_raw(encoded, directory, samples, separate, raster, saturated);
    if (photometric == kYcbcr && samples.stored == 3) rgb_from_ycbcr(raster.samples);
  } else {
    read_compressed(encoded, directory, samples, compression, separate, raster, saturated);
  }
  if (saturated) {
    warn(options, PictureWarning::saturated, encoded,
         "gray of more than 8 bits; values above 255 become white, as in Pillow");
  }
  return raster;
}

}  // namespace

const ImageFormat kTiff{"TIFF", is_tiff, tiff_header, decode_tiff};

}  // namespace longsight::data
