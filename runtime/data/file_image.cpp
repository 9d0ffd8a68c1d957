#include "runtime/data/file_image.h"

#include <utility>

#include "runtime/data/media_read.h"

namespace longsight::data {

FileImage::FileImage(MediaFile file, ImageRecipe recipe, ImageLayout layout, Shift shift,
                     DecodeOptions decode, std::string sample)
    : file_(std::move(file)),
      recipe_(recipe),
      layout_(layout),
      shift_(shift),
      decode_(std::move(decode)),
      sample_(std::move(sample)) {}

Tensor FileImage::pixels() {
  std::call_once(once_, [this] {
    try {
      pixels_ = pixel_values(recipe_, decode_media(file_, decode_), shift_);
    } catch (const Error& error) {
      if (sample_.empty()) throw;
      fail(error.code(), "{}: {}", sample_, error.what());
    }
  });
  return pixels_;
}

}  // namespace longsight::data
