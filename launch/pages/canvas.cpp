#include "launch/pages/canvas.h"

#include <algorithm>
#include <filesystem>

#include <ft2build.h>
#include FT_FREETYPE_H
#include <png.h>

#include "runtime/data/text/unicode.h"

namespace longsight::launch {
namespace {

// DejaVu covers the alphabets, the others what it lacks.
constexpr const char* kSystemFonts[] = {"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
                                        "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
                                        "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
                                        "/usr/share/fonts/truetype/unifont/unifont.ttf"};

void require_freetype(FT_Error error, const std::string& what) {
  require(error == 0, ExitCode::missing_input, "{}: not a font that can be used (FreeType error {})", what,
          error);
}

}  // namespace

struct Fonts::Library {
  FT_Library library = nullptr;
  std::vector<FT_Face> faces;
  ~Library() {
    for (FT_Face face : faces) FT_Done_Face(face);
    if (library != nullptr) FT_Done_FreeType(library);
  }

  // The first face that has the character; the box of the first for one that none has.
  FT_Face load(char32_t c, FT_Int32 flags) const {
    FT_Face chosen = faces.front();
    FT_UInt index = 0;
    for (FT_Face face : faces) {
      index = FT_Get_Char_Index(face, c);
      if (index == 0) continue;
      chosen = face;
      break;
    }
    require_freetype(FT_Load_Glyph(chosen, index, flags), "a glyph");
    return chosen;
  }
};

Fonts::Fonts(const std::vector<std::string>& files, i64 pixels) : library_(std::make_unique<Library>()) {
  require_freetype(FT_Init_FreeType(&library_->library), "FreeType");
  std::vector<std::string> wanted = files;
  for (const char* file : kSystemFonts) {
    if (files.empty() && std::filesystem::exists(file)) wanted.emplace_back(file);
  }
  require(!wanted.empty(), ExitCode::missing_input,
          "no font to write with: install fonts-dejavu-core, or name one with --font FILE.ttf");
  for (const std::string& file : wanted) {
    require(std::filesystem::exists(file), ExitCode::missing_input, "{}: no such font", file);
    FT_Face face = nullptr;
    require_freetype(FT_New_Face(library_->library, file.c_str(), 0, &face), file);
    library_->faces.push_back(face);
    require_freetype(FT_Set_Pixel_Sizes(face, 0, static_cast<FT_UInt>(pixels)), file);
  }
}

Fonts::~Fonts() = default;

i64 Fonts::line_height() const {
  return ceil_div(library_->faces.front()->size->metrics.height, 64);
}

i64 Fonts::ascent() const {
  return ceil_div(library_->faces.front()->size->metrics.ascender, 64);
}

i64 Fonts::width(char32_t c) const {
  return library_->load(c, FT_LOAD_DEFAULT)->glyph->advance.x / 64;
}

Fonts::Glyph Fonts::glyph(char32_t c) const {
  const FT_GlyphSlot slot = library_->load(c, FT_LOAD_RENDER)->glyph;
  if (slot->bitmap.pixel_mode != FT_PIXEL_MODE_GRAY || slot->bitmap.pitch < 0) return {};
  return {.rows = slot->bitmap.buffer,
          .pitch = slot->bitmap.pitch,
          .width = slot->bitmap.width,
          .height = slot->bitmap.rows,
          .left = slot->bitmap_left,
          .top = slot->bitmap_top};
}

bool Fonts::has(char32_t c) const {
  return std::any_of(library_->faces.begin(), library_->faces.end(),
                     [c](FT_Face face) { return FT_Get_Char_Index(face, c) != 0; });
}

void Canvas::grow(i64 height) {
  if (height <= height_) return;
  const std::size_t before = rgb_.size();
  rgb_.resize(static_cast<std::size_t>(width_ * height * 3));
  for (std::size_t i = before; i < rgb_.size(); i += 3)
    std::copy(background_.begin(), background_.end(), rgb_.begin() + static_cast<std::ptrdiff_t>(i));
  height_ = height;
}

void Canvas::fill(i64 x, i64 y, i64 width, i64 height, Color color) {
  for (i64 row = y; row < std::min(y + height, height_); ++row) {
    for (i64 column = x; column < std::min(x + width, width_); ++column) {
      std::copy(color.begin(), color.end(), pixel(column, row));
    }
  }
}

void Canvas::picture(i64 x, i64 y, const data::Image& image) {
  const i64 columns = std::min(image.width, width_ - x);
  for (i64 row = 0; row < std::min(image.height, height_ - y); ++row) {
    std::copy(image.row(row), image.row(row) + columns * 3, pixel(x, y + row));
  }
}

void Canvas::text(i64 x, i64 y, std::string_view text, const Fonts& fonts, Color color) {
  const i64 baseline = y + fonts.ascent();
  for (std::size_t at = 0; at < text.size();) {
    const data::CodePoint c = data::code_point(text.data() + at);
    at += static_cast<std::size_t>(c.bytes);
    if (c.value < 0x20) continue;
    const i64 advance = fonts.width(c.value);
    if (x + advance > width_) return;
    const Fonts::Glyph glyph = fonts.glyph(c.value);
    for (i64 row = 0; row < glyph.height; ++row) {
      for (i64 column = 0; column < glyph.width; ++column) {
        const i64 to_x = x + glyph.left + column, to_y = baseline - glyph.top + row;
        if (to_x < 0 || to_x >= width_ || to_y < 0 || to_y >= height_) continue;
        const int coverage = glyph.rows[row * glyph.pitch + column];
        std::uint8_t* to = pixel(to_x, to_y);
        for (std::size_t i = 0; i < 3; ++i) {
          to[i] = static_cast<std::uint8_t>((to[i] * (255 - coverage) + color[i] * coverage + 127) / 255);
        }
      }
    }
    x += advance;
  }
}

data::Image Canvas::image() const {
  data::Image image(height_, width_);
  image.rgb = rgb_;
  return image;
}

std::vector<std::string> wrap(std::string_view text, i64 width, const Fonts& fonts) {
  std::vector<std::string> lines(1);
  i64 used = 0;
  for (std::size_t at = 0; at < text.size();) {
    const data::CodePoint c = data::code_point(text.data() + at);
    const std::string_view character = text.substr(at, static_cast<std::size_t>(c.bytes));
    at += static_cast<std::size_t>(c.bytes);
    if (c.value == '\n') {
      lines.emplace_back();
      used = 0;
      continue;
    }
    const i64 advance = c.value < 0x20 ? 0 : fonts.width(c.value);
    if (used + advance > width && !lines.back().empty()) {
      // The word that does not fit goes to the next line, unless it is longer than a line.
      std::string& full = lines.back();
      const auto space = full.rfind(' ');
      std::string rest = space == std::string::npos ? std::string() : full.substr(space + 1);
      if (space != std::string::npos) full.erase(space);
      used = 0;
      for (std::size_t i = 0; i < rest.size();) {
        const data::CodePoint r = data::code_point(rest.data() + i);
        used += fonts.width(r.value);
        i += static_cast<std::size_t>(r.bytes);
      }
      lines.push_back(std::move(rest));
    }
    lines.back() += character;
    used += advance;
  }
  return lines;
}

std::string encode_png(const data::Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t bytes = 0;
  const bool sized = png_image_write_to_memory(&png, nullptr, &bytes, 0, image.rgb.data(), 0, nullptr) != 0;
  std::string file(bytes, '\0');
  const bool written =
      sized && png_image_write_to_memory(&png, file.data(), &bytes, 0, image.rgb.data(), 0, nullptr) != 0;
  require(written, ExitCode::internal, "libpng could not write a picture of {} x {}: {}", image.width,
          image.height, static_cast<const char*>(png.message));
  file.resize(bytes);
  return file;
}

}  // namespace longsight::launch
