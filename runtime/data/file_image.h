// An image file as the pixels that a vision tower takes, decoded and processed when they are first asked for.
#pragma once

#include <mutex>
#include <string>

#include "runtime/data/image_decode.h"
#include "runtime/data/image_processor.h"
#include "runtime/data/image_source.h"
#include "runtime/data/media_file.h"

namespace longsight::data {

class FileImage final : public ImageSource {
 public:
  // `layout` is the one that the recipe gives for the size in the header of the image. The shift is the
  // augmentation of prepare_image. `sample` says in errors which sample the image belongs
  // to.
  FileImage(MediaFile file, ImageRecipe recipe, ImageLayout layout, Shift shift = {},
            DecodeOptions decode = {}, std::string sample = "");

  // Of several threads that ask at the same time one works. What fails (missing_input, bad_data; the file is
  // named) fails again for the next one that asks.
  Tensor pixels() override;
  const ImageLayout& layout() const override { return layout_; }

 private:
  MediaFile file_;
  ImageRecipe recipe_;
  ImageLayout layout_;
  Shift shift_;
  DecodeOptions decode_;
  std::string sample_;
  std::once_flag once_;
  OwnedTensor pixels_;
};

}  // namespace longsight::data
