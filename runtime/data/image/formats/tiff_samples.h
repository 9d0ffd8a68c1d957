// How the samples of a TIFF's pixels are stored, and what they become. Internal to this folder.
#pragma once

#include "runtime/data/image/formats/image_codec.h"
#include "runtime/data/image/formats/tiff_directory.h"

namespace longsight::data {

struct TiffSamples {
  Raster::Kind kind = Raster::Kind::gray;
  int bits = 8;    // of a sample
  int stored = 1;  // samples of a pixel; the first ones count
  bool inverted = false;
  bool reversed = false;  // the first pixel stands in the lowest bit of a byte
  bool premultiplied = false;
  bool backwards = false;  // wide samples stand with their high byte first
  enum class Number { natural, whole, floating } number = Number::natural;

  // How far a sample that is wider than 8 bits was above 255 and became it.
  bool saturates() const { return stored == 1 && bits > 8; }
  i64 row_bytes(i64 width) const { return ceil_div(width * bits * stored, 8); }
  // `saturated` is set where a value above 255 became 255.
  void unpack(const std::uint8_t* from, i64 width, std::uint8_t* to, bool& saturated) const;
};

// bad_data for what Pillow does not know either, and for LAB.
TiffSamples tiff_samples(const EncodedImage& encoded, const TiffDirectory& directory, bool compressed);

}  // namespace longsight::data
