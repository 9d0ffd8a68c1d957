// A page to draw on: rectangles, pictures and lines of text; it grows downwards.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/image/image.h"

namespace longsight::launch {

using Color = std::array<std::uint8_t, 3>;

// Fonts in the order in which a character is looked for.
class Fonts {
 public:
  // `files` empty: those of the system that are known here; missing_input if none of them is there. `pixels`:
  // the height of a line without its gap.
  Fonts(const std::vector<std::string>& files, i64 pixels);
  ~Fonts();
  Fonts(const Fonts&) = delete;
  Fonts& operator=(const Fonts&) = delete;

  i64 line_height() const;
  i64 ascent() const;
  i64 width(char32_t c) const;
  // Coverage of a character's pixels, 0 to 255, valid until the next call; placed from the baseline.
  struct Glyph {
    const std::uint8_t* rows = nullptr;
    i64 pitch = 0, width = 0, height = 0;
    i64 left = 0, top = 0;
  };
  Glyph glyph(char32_t c) const;
  bool has(char32_t c) const;  // otherwise a box stands for it

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

class Canvas {
 public:
  Canvas(i64 width, Color background) : background_(background), width_(width) {}

  i64 width() const { return width_; }
  i64 height() const { return height_; }
  void grow(i64 height);  // at least so many rows
  void fill(i64 x, i64 y, i64 width, i64 height, Color color);
  void picture(i64 x, i64 y, const data::Image& image);
  // One line with its upper left corner at (x, y); what does not fit is cut. `text` is UTF-8; control
  // characters are left out.
  void text(i64 x, i64 y, std::string_view text, const Fonts& fonts, Color color);
  data::Image image() const;

 private:
  std::uint8_t* pixel(i64 x, i64 y) { return rgb_.data() + (y * width_ + x) * 3; }
  Color background_;
  i64 width_;
  i64 height_ = 0;
  std::vector<std::uint8_t> rgb_;
};

// Lines no wider than `width` pixels, broken at spaces where that is possible, and at line breaks.
std::vector<std::string> wrap(std::string_view text, i64 width, const Fonts& fonts);

// RGB as a PNG file.
std::string encode_png(const data::Image& image);

}  // namespace longsight::launch
