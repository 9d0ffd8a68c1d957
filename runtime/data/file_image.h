// An image file as the pixels that a vision tower takes, decoded and processed when they are first asked for.
#pragma once

#include <mutex>
#include <string>

#include "runtime/data/image_decode.h"
#include "runtime/data/image_processor.h"
#include "runtime/data/image_source.h"

namespace longsight::data {

class FileImage final : public ImageSource {
 public:
  // The shift is the augmentation of prepare_image. `sample` says in errors which sample the image belongs
  // to.
  FileImage(std::string path, ImageRecipe recipe, Shift shift = {}, DecodeOptions decode = {},
            std::string sample = "");

  // Of several threads that ask at the same time one works. What fails (missing_input, bad_data; the file is
  // named) fails again for the next one that asks.
  Tensor pixels() override;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  ImageRecipe recipe_;
  Shift shift_;
  DecodeOptions decode_;
  std::string sample_;
  std::once_flag once_;
  OwnedTensor pixels_;
};

}  // namespace longsight::data
