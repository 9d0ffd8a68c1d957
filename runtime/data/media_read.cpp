#include "runtime/data/media_read.h"

#include "runtime/base/input_file.h"

namespace longsight::data {
namespace {

constexpr i64 kMaxFileBytes = i64{1} << 30;

bool is_part(const MediaFile& file) {
  return file.offset > 0 || file.bytes >= 0;
}

}  // namespace

std::string name_of(const MediaFile& file) {
  return is_part(file) ? fmt::format("{} at byte {}", file.path, file.offset) : file.path;
}

std::vector<std::uint8_t> read_media(const MediaFile& file) {
  if (file.content) return {file.content->begin(), file.content->end()};
  const InputFile input(file.path);
  const i64 bytes = file.bytes >= 0 ? file.bytes : input.size() - file.offset;
  require(bytes >= 0 && bytes <= kMaxFileBytes, ExitCode::bad_data, "{}: an image of {} bytes", name_of(file),
          bytes);
  std::vector<std::uint8_t> content(static_cast<std::size_t>(bytes));
  input.read_exactly_at(content.data(), bytes, file.offset);
  return content;
}

Image decode_media(const MediaFile& file, const DecodeOptions& options) {
  if (!file.content && !is_part(file)) return decode_image_file(file.path, options);
  return decode_image(read_media(file), name_of(file), options);
}

ImageSize read_media_size(const MediaFile& file, const DecodeOptions& options) {
  if (!file.content && !is_part(file)) return read_image_size(file.path, options);
  return read_image_size(read_media(file), name_of(file), options);
}

}  // namespace longsight::data
