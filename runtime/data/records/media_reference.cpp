#include "runtime/data/records/media_reference.h"

#include <algorithm>

#include "runtime/base/base64.h"
#include "runtime/base/shorten.h"

namespace longsight::data {
namespace {

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// "image/jpeg;base64" of a data URI, parameters in between.
bool is_head_of_image(std::string_view head) {
  constexpr std::string_view kBase64 = ";base64";
  if (head.size() < kBase64.size() || !same_letters(head.substr(head.size() - kBase64.size()), kBase64))
    return false;
  const std::string_view type = head.substr(0, head.find(';'));
  return type.empty() || same_letters(type, "image") || same_letters(type.substr(0, 6), "image/") ||
         same_letters(type, "application/octet-stream");
}

// JPEG, PNG, GIF, TIFF, WebP begin with bytes whose base64 is no likely name; those of BMP are two letters.
bool looks_like_base64(std::string_view text) {
  constexpr std::size_t kLeast = 64;
  constexpr std::string_view kStarts[] = {"iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "SUkqA", "TU0AK"};
  return text.size() >= kLeast &&
         std::any_of(std::begin(kStarts), std::end(kStarts),
                     [&](std::string_view start) { return text.starts_with(start); }) &&
         decode_base64(text).has_value();
}

}  // namespace

MediaFile MediaReferences::read(const Record& value, const std::string& where) {
  if (value.is_string()) return read_text(value.get_ref<const std::string&>(), where);
  require(value.is_object(), ExitCode::bad_data, "{}: {} is not the path of an image", where, shown(value));
  static const std::vector<std::string> none;
  const RecordObject picture(value, {"path", "bytes", "url", "detail"}, no_keys(), none, where);
  if (const auto detail = picture.optional_text("detail")) {
    require(*detail == "auto" || *detail == "high", ExitCode::bad_data,
            "{}: \"detail\": \"{}\" is not supported; limit the pixels of the image with max_pixels", where,
            shortened(*detail));
  }
  const auto bytes = picture.optional_text("bytes"), path = picture.optional_text("path"),
             url = picture.optional_text("url");
  require(!url || (!bytes && !path), ExitCode::bad_data,
          "{}: an image with \"url\" beside \"path\" or \"bytes\"", where);
  if (bytes) return in_memory(*bytes, where);  // the path is only its name then
  require(url || path, ExitCode::bad_data, "{}: an image without \"path\", \"bytes\" or \"url\"", where);
  return read_text(url ? *url : *path, where);
}

MediaFile MediaReferences::read_text(const std::string& text, const std::string& where) {
  require(!text.empty(), ExitCode::bad_data, "{}: \"\" is not the path of an image", where);
  constexpr std::string_view kData = "data:", kBare = "base64,";
  if (text.starts_with(kData)) {
    const std::size_t comma = text.find(',');
    require(comma != std::string::npos &&
                is_head_of_image(std::string_view(text).substr(kData.size(), comma - kData.size())),
            ExitCode::bad_data, "{}: {} is not a data URI of an image: data:image/TYPE;base64,DATA", where,
            shortened(text));
    return in_memory(std::string_view(text).substr(comma + 1), where);
  }
  if (text.starts_with(kBare)) return in_memory(std::string_view(text).substr(kBare.size()), where);
  if (looks_like_base64(text)) return in_memory(text, where);
  return media_.resolve(text, where);
}

MediaFile MediaReferences::in_memory(std::string_view base64, const std::string& where) {
  std::optional<std::string> content = decode_base64(base64);
  require(content.has_value() && !content->empty(), ExitCode::bad_data,
          "{}: the image in the data is not valid base64: {}", where, shortened(base64));
  return {.path = fmt::format("the image in the data, number {}", ++in_memory_),
          .content = std::make_shared<const std::string>(std::move(*content))};
}

}  // namespace longsight::data
