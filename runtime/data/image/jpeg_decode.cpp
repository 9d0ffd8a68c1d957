// JPEG through libjpeg-turbo with its defaults, as Pillow calls it. libjpeg reports errors by a callback that
// must not return: ours jumps back into the function that called the library. Functions with a setjmp hold no
// object with a destructor, so that the jump crosses none; errors become exceptions in their callers.
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>  // before jpeglib.h
#include <cstring>

#include <jerror.h>
#include <jpeglib.h>

#include "runtime/data/image/image_codec.h"

namespace longsight::data {
namespace {

constexpr int kMaxScans = 500;            // of a progressive file: each one costs a pass over the whole image
constexpr long kMaxMemory = 1536L << 20;  // coefficients of the largest progressive image: 8 bytes a pixel

struct Session {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump{};
  std::array<char, JMSG_LENGTH_MAX> message{};

  Session();
  ~Session() { jpeg_destroy_decompress(&info); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
};

Session& session_of(j_common_ptr info) {
  return *static_cast<Session*>(info->client_data);
}

[[noreturn]] void leave(j_common_ptr info) {
  Session& session = session_of(info);
  info->err->format_message(info, session.message.data());
  std::longjmp(session.jump, 1);
}

// A negative level is a warning: corrupt data that libjpeg would fill with something (gray, mostly). An error
// here.
void on_message(j_common_ptr info, int level) {
  if (level < 0) leave(info);
}

void on_progress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans) {
    Session& session = session_of(info);
    std::snprintf(session.message.data(), session.message.size(), "more than %d progressive scans",
                  kMaxScans);
    std::longjmp(session.jump, 1);
  }
}

Session::Session() {
  info.err = jpeg_std_error(&errors);
  info.client_data = this;
  errors.error_exit = leave;
  errors.emit_message = on_message;
  progress.progress_monitor = on_progress;
}

bool read_header(Session& session, const std::uint8_t* bytes, unsigned long count, std::FILE* file) {
  if (setjmp(session.jump) != 0) return false;
  jpeg_create_decompress(&session.info);
  session.info.mem->max_memory_to_use = kMaxMemory;
  session.info.progress = &session.progress;
  if (file != nullptr) {
    jpeg_stdio_src(&session.info, file);
  } else {
    jpeg_mem_src(&session.info, bytes, count);
  }
  jpeg_save_markers(&session.info, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&session.info, TRUE);
  return true;
}

// rows: [height, width, 3 (RGB) or 4 (CMYK)]
bool read_rows(Session& session, std::uint8_t* rows, std::size_t row_bytes) {
  if (setjmp(session.jump) != 0) return false;
  session.info.out_color_space = session.info.num_components == 4 ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&session.info);
  while (session.info.output_scanline < session.info.output_height) {
    JSAMPROW row = rows + session.info.output_scanline * row_bytes;
    jpeg_read_scanlines(&session.info, &row, 1);
  }
  jpeg_finish_decompress(&session.info);
  return true;
}

void open(Session& session, const EncodedImage& encoded) {
  const bool ok = read_header(session, encoded.bytes.data(), encoded.bytes.size(), encoded.file);
  require(ok, ExitCode::bad_data, "{}: corrupt JPEG: {}", encoded.name, session.message.data());
  const int components = session.info.num_components;
  require(components == 1 || components == 3 || components == 4, ExitCode::bad_data,
          "{}: a JPEG with {} colour components; gray, colour and CMYK (1, 3, 4) can be read", encoded.name,
          components);
}

std::string_view text_of(const jpeg_marker_struct& marker) {
  return {reinterpret_cast<const char*>(marker.data), marker.data_length};
}

ImageMetadata metadata_of(const jpeg_decompress_struct& info) {
  constexpr std::string_view exif("Exif\0\0", 6);
  constexpr std::string_view xmp("http://ns.adobe.com/xap/1.0/\0", 29);
  ImageMetadata metadata;
  for (const jpeg_marker_struct* m = info.marker_list; m != nullptr; m = m->next) {
    const std::string_view text = text_of(*m);
    if (text.starts_with(exif)) {  // a block of more than 64 KiB is cut into several markers
      if (!metadata.exif) metadata.exif.emplace();
      metadata.exif->insert(metadata.exif->end(), text.begin() + exif.size(), text.end());
    } else if (text.starts_with(xmp)) {
      metadata.xmp = text.substr(xmp.size());
    }
  }
  return metadata;
}

// Adobe's files hold inverted CMYK; then Pillow's conversion: R = K' - C * K' / 255 with K' = 255 - K,
// rounded.
void rgb_from_inverted_cmyk(const std::vector<std::uint8_t>& cmyk, std::vector<std::uint8_t>& rgb) {
  for (std::size_t pixel = 0; pixel < rgb.size() / 3; ++pixel) {
    const int k = cmyk[pixel * 4 + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const int t = (255 - cmyk[pixel * 4 + c]) * k + 128;
      rgb[pixel * 3 + c] = static_cast<std::uint8_t>(std::clamp(k - (((t >> 8) + t) >> 8), 0, 255));
    }
  }
}

}  // namespace

bool is_jpeg(std::span<const std::uint8_t> start) {
  return start.size() >= 3 && start[0] == 0xFF && start[1] == 0xD8 && start[2] == 0xFF;
}

ImageHeader read_jpeg_header(const EncodedImage& encoded) {
  Session session;
  open(session, encoded);
  return {{session.info.image_height, session.info.image_width}, metadata_of(session.info)};
}

Image decode_jpeg(const EncodedImage& encoded) {
  Session session;
  open(session, encoded);
  Image image(session.info.image_height, session.info.image_width);
  const bool cmyk = session.info.num_components == 4;
  std::vector<std::uint8_t> inks(cmyk ? image.rgb.size() / 3 * 4 : 0);
  const auto width = static_cast<std::size_t>(image.width);
  const bool ok =
      cmyk ? read_rows(session, inks.data(), width * 4) : read_rows(session, image.rgb.data(), width * 3);
  require(ok, ExitCode::bad_data, "{}: corrupt JPEG: {}", encoded.name, session.message.data());
  if (cmyk) rgb_from_inverted_cmyk(inks, image.rgb);
  return image;
}

}  // namespace longsight::data
