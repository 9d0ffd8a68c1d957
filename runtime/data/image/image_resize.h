// Pillow's Image.resize on RGB images, to the bit: antialiased, two passes with uint8 between them, fixed
// point weights.
#pragma once

#include "runtime/data/image/image.h"
#include "runtime/data/image/resample_taps.h"

namespace longsight::data {

// Which pass comes first matters for the last bit. Up to Pillow 12.3 the horizontal one; Pillow 13.0.0 begins
// with the vertical one if the height shrinks and H_in - H_out > 2 (W_in - W_out).
enum class PassOrder { pillow_13, pillow_12 };

// An axis that keeps its length is not filtered. Single-threaded; the same bits on every machine.
Image resize_image(const Image& image, ImageSize to, Resample filter, PassOrder order = PassOrder::pillow_13);

// True: the vertical pass comes first.
bool vertical_pass_first(ImageSize from, ImageSize to, PassOrder order);

}  // namespace longsight::data
