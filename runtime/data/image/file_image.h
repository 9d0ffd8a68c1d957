// An image file, or the frames of a video, as the pixels that a vision tower takes: decoded and processed
// when they are first asked for.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "runtime/data/image/formats/image_decode.h"
#include "runtime/data/image/image_processor.h"
#include "runtime/data/image/image_source.h"
#include "runtime/data/image/media_file.h"

namespace longsight::data {

// What the headers of the files say: one size for all frames of a video (the first one's).
struct MediaLayout {
  ImageSize size;
  ImageLayout layout;
  TileGrid grid;
};

// Reads the header of the first file alone. A video recipe takes any number of frames, the others one. Errors
// (missing_input, bad_data) name the file.
MediaLayout read_media_layout(const std::vector<MediaFile>& frames, const ImageRecipe& recipe,
                              const DecodeOptions& decode = {});

class FileImage final : public ImageSource {
 public:
  // `layout` is the one that the recipe gives for the size in the header of the image. The shift is the
  // augmentation of prepare_image. `sample` says in errors which sample the image belongs to.
  FileImage(MediaFile file, ImageRecipe recipe, ImageLayout layout, Shift shift = {},
            DecodeOptions decode = {}, std::string sample = "");
  // Of a video, with a video recipe.
  FileImage(std::vector<MediaFile> frames, ImageRecipe recipe, ImageLayout layout, Shift shift = {},
            DecodeOptions decode = {}, std::string sample = "");

  // Of several threads that ask at the same time one works. What fails (missing_input, bad_data; the file is
  // named) fails again for the next one that asks.
  Tensor pixels() override;
  const ImageLayout& layout() const override { return layout_; }

 private:
  OwnedTensor made() const;

  std::vector<MediaFile> frames_;
  ImageRecipe recipe_;
  ImageLayout layout_;
  Shift shift_;
  DecodeOptions decode_;
  std::string sample_;
  std::once_flag once_;
  OwnedTensor pixels_;
};

}  // namespace longsight::data
