#include "runtime/data/image/formats/content_name.h"

#include <algorithm>
#include <string_view>

namespace longsight::data {
namespace {

struct Known {
  std::string_view begin;
  const char* name;
};

constexpr const char* kPage = "an HTML page, not a picture: its download went wrong, fetch it again";

// ISO media files: the brand behind "ftyp" says what is in them.
const char* name_of_brand(std::string_view brand) {
  if (brand == "avif" || brand == "avis") return "an AVIF picture";
  if (brand.starts_with("hei") || brand.starts_with("hev") || brand == "mif1" || brand == "msf1")
    return "a HEIC picture";
  if (brand.starts_with("crx")) return "a raw photo";
  return "a film (give its frames as pictures)";
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
  });
  return result;
}

}  // namespace

std::string name_of_content(std::span<const std::uint8_t> start) {
  using namespace std::string_view_literals;
  constexpr std::string_view convert = "; convert it to PNG or JPEG";
  std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  if (text.empty()) return "an empty file: its download went wrong, fetch it again";
  if (std::all_of(text.begin(), text.end(), [](char c) { return c == 0; }))
    return "nothing but zeros: its download went wrong, fetch it again";
  static constexpr Known known[] = {
      {"%PDF", "a PDF"},
      {"8BPS", "a Photoshop file"},
      {"\0\0\1\0"sv, "an icon"},
      {"\0\0\0\x0cjP  "sv, "a JPEG 2000 picture"},
      {"\xff\x4f\xff\x51", "a JPEG 2000 picture"},
      {"\xff\x0a", "a JPEG XL picture"},
      {"\0\0\0\x0cJXL "sv, "a JPEG XL picture"},
      {"PK\3\4", "a zip archive"},
      {"\x1f\x8b", "a gzip file"},
      {"P1\n", "a PBM picture"},
      {"P2\n", "a PGM picture"},
      {"P3\n", "a PPM picture"},
      {"P4\n", "a PBM picture"},
      {"P5\n", "a PGM picture"},
      {"P6\n", "a PPM picture"},
      {"version https://git-lfs", "a Git LFS pointer, not the picture: fetch it with git lfs pull"},
      {"\xff\xd8", "a JPEG that is cut off or damaged at its beginning"},
      {"\x89PN", "a PNG that is cut off or damaged at its beginning"},
      {"GIF8", "a GIF that is cut off or damaged at its beginning"},
      {"RIFF", "a RIFF file, but no WebP picture"},
      {"\x1a\x45\xdf\xa3", "a film (give its frames as pictures)"},
  };
  if (text.size() >= 12 && text.substr(4, 4) == "ftyp")
    return name_of_brand(text.substr(8, 4)) + std::string(convert);
  for (const Known& k : known)
    if (text.starts_with(k.begin)) return k.name + std::string(convert);
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos) text.remove_prefix(first);
  const std::string words = lower(text.substr(0, 400));
  if (words.starts_with("<!doctype html") || words.starts_with("<html") || words.starts_with("<head"))
    return kPage;
  if (words.starts_with("<svg") || (words.starts_with("<?xml") && words.find("<svg") != std::string::npos))
    return "an SVG drawing; convert it to PNG";
  if (words.starts_with("<") && words.find("<html") != std::string::npos) return kPage;
  if (words.starts_with("<?xml") || words.starts_with("{") || words.starts_with("["))
    return "a text, not a picture: often an error message in place of a download; fetch it again";
  if (words.starts_with("data:image")) return "a data URI written into a file; write the decoded bytes";
  return "no known picture; known are JPEG, PNG, GIF, WebP, BMP and TIFF" + std::string(convert);
}

}  // namespace longsight::data
