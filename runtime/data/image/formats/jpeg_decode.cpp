// JPEG through libjpeg-turbo with its defaults, as Pillow calls it. libjpeg reports errors by a callback that
// must not return: ours jumps back into the function that called the library. Functions with a setjmp hold no
// object with a destructor, so that the jump crosses none; errors become exceptions in their callers.
//
// What libjpeg only warns of (junk between markers, a code that means nothing) Pillow takes, and so do we,
// said in the log. A file that ends before its last row is no warning but an error; libjpeg's own sources of
// data would fill it up with gray.
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>  // before jpeglib.h
#include <cstring>

#include <jerror.h>
#include <jpeglib.h>

#include "runtime/data/image/formats/image_codec.h"
#include "runtime/data/image/formats/jpeg_markers.h"

namespace longsight::data {
namespace {

constexpr int kMaxScans = 500;            // of a progressive file: each one costs a pass over the whole image
constexpr long kMaxMemory = 1536L << 20;  // coefficients of the largest progressive image: 8 bytes a pixel

struct Session {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  jpeg_source_mgr source{};
  std::jmp_buf jump{};
  std::array<char, JMSG_LENGTH_MAX> message{};
  std::array<char, JMSG_LENGTH_MAX> warning{};  // the first one
  bool all_rows = false;                        // nothing that is missing behind them counts

  Session();
  ~Session() { jpeg_destroy_decompress(&info); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
};

Session& session_of(void* client_data) {
  return *static_cast<Session*>(client_data);
}

[[noreturn]] void leave(j_common_ptr info) {
  Session& session = session_of(info->client_data);
  info->err->format_message(info, session.message.data());
  std::longjmp(session.jump, 1);
}

[[noreturn]] void leave_with(Session& session, const char* message) {
  std::snprintf(session.message.data(), session.message.size(), "%s", message);
  std::longjmp(session.jump, 1);
}

// A negative level is a warning.
void on_message(j_common_ptr info, int level) {
  Session& session = session_of(info->client_data);
  if (level >= 0) return;
  if (info->err->num_warnings == 0) info->err->format_message(info, session.warning.data());
  ++info->err->num_warnings;
}

void on_progress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans)
    leave_with(session_of(info->client_data), "more than 500 progressive scans");
}

void on_source(j_decompress_ptr) {}

boolean on_end_of_data(j_decompress_ptr info) {
  Session& session = session_of(info->client_data);
  if (session.all_rows) return FALSE;
  leave_with(session, "the file is truncated");
}

void on_skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  const std::size_t skipped = std::min(static_cast<std::size_t>(count), info->src->bytes_in_buffer);
  info->src->next_input_byte += skipped;
  info->src->bytes_in_buffer -= skipped;
  if (skipped < static_cast<std::size_t>(count)) on_end_of_data(info);
}

Session::Session() {
  info.err = jpeg_std_error(&errors);
  info.client_data = this;
  errors.error_exit = leave;
  errors.emit_message = on_message;
  progress.progress_monitor = on_progress;
  source.init_source = on_source;
  source.fill_input_buffer = on_end_of_data;
  source.skip_input_data = on_skip;
  source.resync_to_restart = jpeg_resync_to_restart;
  source.term_source = on_source;
}

bool start(Session& session, const std::uint8_t* bytes, std::size_t count) {
  if (setjmp(session.jump) != 0) return false;
  jpeg_create_decompress(&session.info);
  session.info.mem->max_memory_to_use = kMaxMemory;
  session.info.progress = &session.progress;
  session.info.src = &session.source;
  session.source.next_input_byte = bytes;
  session.source.bytes_in_buffer = count;
  while (jpeg_read_header(&session.info, FALSE) == JPEG_HEADER_TABLES_ONLY) {
  }
  return true;
}

// rows: [height, width, channels of `space`]. The size must be that of the header that libjpeg read.
bool read_jpeg_rows(Session& session, J_COLOR_SPACE space, std::uint8_t* rows, std::size_t row_bytes) {
  if (setjmp(session.jump) != 0) return false;
  session.info.out_color_space = space;
  jpeg_start_decompress(&session.info);
  while (session.info.output_scanline < session.info.output_height) {
    JSAMPROW row = rows + session.info.output_scanline * row_bytes;
    jpeg_read_scanlines(&session.info, &row, 1);
  }
  session.all_rows = true;
  jpeg_finish_decompress(&session.info);
  return true;
}

bool is_jpeg(std::span<const std::uint8_t> start_bytes) {
  return text_of(start_bytes).starts_with("\xFF\xD8\xFF");
}

ImageHeader jpeg_header(const EncodedImage& encoded) {
  JpegMarkers markers = read_jpeg_markers(encoded);
  return {.size = markers.size, .metadata = std::move(markers.metadata)};
}

Raster decode_jpeg(const EncodedImage& encoded, const DecodeOptions& options) {
  const JpegMarkers markers = read_jpeg_markers(encoded);
  Session session;
  const auto require_ok = [&](bool ok) {
    if (!ok) refuse_image(encoded, "JPEG", session.message.data());
  };
  require_ok(start(session, encoded.bytes.data(), encoded.bytes.size()));
  const ImageSize size{static_cast<i64>(session.info.image_height),
                       static_cast<i64>(session.info.image_width)};
  if (size != markers.size || session.info.num_components != markers.layers)
    refuse_image(encoded, "JPEG", "two frame headers that contradict each other");
  const auto kind = markers.layers == 1   ? Raster::Kind::gray
                    : markers.layers == 3 ? Raster::Kind::rgb
                                          : Raster::Kind::cmyk;
  const auto space = markers.layers == 1 ? JCS_GRAYSCALE : markers.layers == 3 ? JCS_RGB : JCS_CMYK;
  Raster raster(kind, size);
  require_ok(read_jpeg_rows(session, space, raster.samples.data(),
                            static_cast<std::size_t>(size.width * raster.channels())));
  if (kind == Raster::Kind::cmyk)  // Adobe's files hold it inverted
    for (std::uint8_t& ink : raster.samples) ink = static_cast<std::uint8_t>(255 - ink);
  if (session.errors.num_warnings > 0)
    warn(options, PictureWarning::damaged, encoded, session.warning.data());
  return raster;
}

}  // namespace

const ImageFormat kJpeg{"JPEG", is_jpeg, jpeg_header, decode_jpeg};

}  // namespace longsight::data
