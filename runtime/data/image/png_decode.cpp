// PNG through libpng. As with libjpeg, functions with a setjmp hold no object with a destructor.
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>

#include <png.h>

#include "runtime/data/image/image_codec.h"
#include "runtime/data/image/png_metadata.h"

namespace longsight::data {
namespace {

constexpr png_alloc_size_t kMaxChunkBytes = 8'000'000;  // of a chunk that libpng keeps in memory

struct Session {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::uint8_t> rest;  // of the file
  std::jmp_buf jump{};
  std::array<char, 200> message{};

  Session() = default;
  ~Session() { png_destroy_read_struct(&png, &info, nullptr); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
};

[[noreturn]] void on_error(png_structp png, png_const_charp text) {
  Session& session = *static_cast<Session*>(png_get_error_ptr(png));
  std::snprintf(session.message.data(), session.message.size(), "%s", text);
  std::longjmp(session.jump, 1);
}

// What libpng only warns of (odd, but harmless chunks) Pillow accepts, too.
void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep to, png_size_t count) {
  Session& session = *static_cast<Session*>(png_get_io_ptr(png));
  if (count > session.rest.size()) png_error(png, "the file is truncated");
  std::memcpy(to, session.rest.data(), count);
  session.rest = session.rest.subspan(count);
}

// Up to the first row. Palettes become RGB (with alpha where they have it), low bit depths 8 bits, 16 bits
// their high byte, except 16-bit gray.
bool open_rows(Session& session) {
  if (setjmp(session.jump) != 0) return false;
  session.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &session, on_error, on_warning);
  if (session.png == nullptr) return false;
  session.info = png_create_info_struct(session.png);
  if (session.info == nullptr) return false;
  png_set_read_fn(session.png, &session, on_read);
  png_set_user_limits(session.png, kMaxImageSide, kMaxImageSide);
  png_set_chunk_malloc_max(session.png, kMaxChunkBytes);
  png_set_crc_action(session.png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_option(session.png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);  // as Pillow
  png_set_keep_unknown_chunks(session.png, PNG_HANDLE_CHUNK_NEVER, nullptr,
                              -1);  // text, profiles: not parsed
  png_read_info(session.png, session.info);
  const int color = png_get_color_type(session.png, session.info);
  const int depth = png_get_bit_depth(session.png, session.info);
  if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(session.png);
  if (color == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(session.png);
  if (color != PNG_COLOR_TYPE_GRAY && depth == 16) png_set_strip_16(session.png);
  png_set_interlace_handling(session.png);
  png_read_update_info(session.png, session.info);
  return true;
}

bool read_rows(Session& session, std::uint8_t* rows, std::size_t row_bytes) {
  if (setjmp(session.jump) != 0) return false;
  const int passes = png_get_interlace_type(session.png, session.info) == PNG_INTERLACE_NONE ? 1 : 7;
  const png_uint_32 height = png_get_image_height(session.png, session.info);
  for (int pass = 0; pass < passes; ++pass) {
    for (png_uint_32 y = 0; y < height; ++y) png_read_row(session.png, rows + y * row_bytes, nullptr);
  }
  png_read_end(session.png, nullptr);
  return true;
}

// Samples as libpng left them: [pixels, channels], gray 16 bits big-endian.
struct Samples {
  std::vector<std::uint8_t> bytes;
  std::size_t channels = 0;
  bool gray16 = false;
};

// 16-bit gray saturates at 255: that is how Pillow converts it.
bool saturate_gray16(Samples& samples) {
  bool lost = false;
  for (std::size_t i = 0; i < samples.bytes.size() / 2; ++i) {
    const int value = samples.bytes[i * 2] << 8 | samples.bytes[i * 2 + 1];
    lost = lost || value > 255;
    samples.bytes[i] = static_cast<std::uint8_t>(std::min(value, 255));
  }
  samples.bytes.resize(samples.bytes.size() / 2);
  return lost;
}

// Pillow's alpha_composite of one value on opaque white, in its fixed point numbers.
std::uint8_t on_white(unsigned value, unsigned alpha) {
  constexpr int bits = 7;
  const unsigned outcome = alpha * 255 + 255 * (255 - alpha);
  const unsigned weight = alpha * 255 * 255 * (1U << bits) / outcome;
  const unsigned sum = value * weight + 255 * (255 * (1U << bits) - weight) + (0x80U << bits);
  return static_cast<std::uint8_t>((((sum >> 8) + sum) >> 8) >> bits);
}

// The colour that tRNS makes transparent in an image without an alpha channel, as Pillow compares it: its low
// byte with the 8-bit samples (1-bit gray: black or white).
struct TransparentColor {
  bool present = false;
  std::array<std::uint8_t, 3> rgb{};
};

TransparentColor transparent_color(const Session& session) {
  png_bytep alphas = nullptr;
  png_color_16p color = nullptr;
  int count = 0;
  if (png_get_tRNS(session.png, session.info, &alphas, &count, &color) == 0 || color == nullptr) return {};
  const auto low = [](unsigned value) { return static_cast<std::uint8_t>(value & 255); };
  if (png_get_color_type(session.png, session.info) == PNG_COLOR_TYPE_RGB) {
    return {true, {low(color->red), low(color->green), low(color->blue)}};
  }
  return {true, {low(color->gray), low(color->gray), low(color->gray)}};
}

void to_rgb(const Samples& samples, const TransparentColor& transparent, Alpha alpha, Image& image) {
  const bool has_alpha = samples.channels == 2 || samples.channels == 4;
  const std::size_t step = samples.channels >= 3 ? 1 : 0;  // gray: the same sample three times
  for (std::size_t pixel = 0; pixel < image.rgb.size() / 3; ++pixel) {
    const std::uint8_t* from = samples.bytes.data() + pixel * samples.channels;
    std::uint8_t* to = image.rgb.data() + pixel * 3;
    for (std::size_t c = 0; c < 3; ++c) to[c] = from[c * step];
    if (alpha == Alpha::drop) continue;
    unsigned opacity = has_alpha ? from[samples.channels - 1] : 255;
    if (transparent.present && std::equal(to, to + 3, transparent.rgb.begin())) opacity = 0;
    for (std::size_t c = 0; c < 3; ++c) to[c] = on_white(to[c], opacity);
  }
}

}  // namespace

bool is_png(std::span<const std::uint8_t> start) {
  return start.size() >= 8 && png_sig_cmp(start.data(), 0, 8) == 0;
}

ImageHeader read_png_header(const EncodedImage& encoded) {
  return read_png_metadata(encoded);
}

Image decode_png(const EncodedImage& encoded, const DecodeOptions& options) {
  Session session;
  session.rest = encoded.bytes;
  const auto require_ok = [&](bool ok) {
    require(ok, ExitCode::bad_data, "{}: corrupt PNG: {}", encoded.name,
            session.message[0] != 0 ? session.message.data() : "libpng could not start");
  };
  require_ok(open_rows(session));
  Image image(png_get_image_height(session.png, session.info),
              png_get_image_width(session.png, session.info));
  const std::size_t row_bytes = png_get_rowbytes(session.png, session.info);
  Samples samples;
  samples.channels = png_get_channels(session.png, session.info);
  samples.gray16 = png_get_bit_depth(session.png, session.info) == 16;
  const bool as_it_is = samples.channels == 3 && options.alpha == Alpha::drop;
  if (as_it_is) {
    check(row_bytes * static_cast<std::size_t>(image.height) == image.rgb.size(), "{} bytes a row",
          row_bytes);
    require_ok(read_rows(session, image.rgb.data(), row_bytes));
    return image;
  }
  samples.bytes.resize(row_bytes * static_cast<std::size_t>(image.height));
  require_ok(read_rows(session, samples.bytes.data(), row_bytes));
  if (samples.gray16 && saturate_gray16(samples) && options.warn) {
    options.warn(
        fmt::format("{}: a 16-bit gray PNG; values above 255 become white, as in Pillow", encoded.name));
  }
  to_rgb(samples, transparent_color(session), options.alpha, image);
  return image;
}

}  // namespace longsight::data
