#include "runtime/data/file_image.h"

#include <utility>

namespace longsight::data {

FileImage::FileImage(std::string path, ImageRecipe recipe, Shift shift, DecodeOptions decode)
    : path_(std::move(path)), recipe_(recipe), shift_(shift), decode_(std::move(decode)) {}

Tensor FileImage::pixels() {
  std::call_once(once_,
                 [this] { pixels_ = pixel_values(recipe_, decode_image_file(path_, decode_), shift_); });
  return pixels_;
}

}  // namespace longsight::data
