// The pixels of one image of a sample, made when a rank that holds rows of it first asks.
#pragma once

#include "runtime/tensor/tensor.h"

namespace longsight::data {

// How an image goes through the vision tower; known from the image's header, without its pixels. Each tile is
// a sequence of its own for attention.
struct ImageLayout {
  i64 tiles = 1;    // tiles of the same size, a thumbnail included; of a video: its temporal patches
  i64 rows = 0;     // patches of a tile along its height
  i64 columns = 0;  // and along its width
  bool video = false;
  double seconds_per_tile = 0;  // of a video: time between its temporal patches; 0: not known

  double seconds() const { return seconds_per_tile > 0 ? seconds_per_tile : 1; }  // one where it is not known
  i64 patches() const { return tiles * rows * columns; }
  friend bool operator==(const ImageLayout&, const ImageLayout&) = default;
};

class ImageSource {
 public:
  virtual ~ImageSource() = default;
  virtual const ImageLayout& layout() const = 0;
  // As the model takes it, f32: [tiles, 3, H, W], or for towers that take patches (Qwen2-VL)
  // [tiles * rows * columns, 3 * temporal * P * P]. Safe to call from several threads; errors name the file.
  virtual Tensor pixels() = 0;
};

}  // namespace longsight::data
