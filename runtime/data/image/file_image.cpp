#include "runtime/data/image/file_image.h"

#include <utility>

namespace longsight::data {
namespace {

// The result of a call whose errors do not name the file.
template <class F>
auto naming(const MediaFile& file, F&& call) {
  try {
    return call();
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", name_of(file), error.what());
  }
}

}  // namespace

MediaLayout read_media_layout(const std::vector<MediaFile>& frames, const ImageRecipe& recipe,
                              const DecodeOptions& decode) {
  check(!frames.empty(), "a video without frames");
  const ImageSize size = read_image_size(frames[0], decode);
  return naming(frames[0], [&] {
    return MediaLayout{.size = size,
                       .layout = image_layout(recipe, size, std::ssize(frames)),
                       .grid = tile_grid(recipe, size)};
  });
}

FileImage::FileImage(std::vector<MediaFile> frames, ImageRecipe recipe, ImageLayout layout, Shift shift,
                     DecodeOptions decode, std::string sample)
    : frames_(std::move(frames)),
      recipe_(recipe),
      layout_(layout),
      shift_(shift),
      decode_(std::move(decode)),
      sample_(std::move(sample)) {
  check(!frames_.empty() && (frames_.size() == 1 || recipe_.is_video()), "{} frames for a {}", frames_.size(),
        name_of(recipe_.processor));
}

FileImage::FileImage(MediaFile file, ImageRecipe recipe, ImageLayout layout, Shift shift,
                     DecodeOptions decode, std::string sample)
    : FileImage(std::vector<MediaFile>{std::move(file)}, recipe, layout, shift, std::move(decode),
                std::move(sample)) {}

OwnedTensor FileImage::made() const {
  if (!recipe_.is_video()) {
    const Image image = decode_image_file(frames_[0], decode_);
    return naming(frames_[0], [&] { return pixel_values(recipe_, image, shift_); });
  }
  ImageSize first;
  const auto frame = [&](i64 i) {
    const MediaFile& file = frames_[static_cast<std::size_t>(i)];
    Image image = decode_image_file(file, decode_);
    if (i == 0) first = image.size();
    require(
        image.size() == first, ExitCode::bad_data,
        "{}: a frame of {} x {} pixels in a video whose first frame, {}, has {} x {}; make all of one size",
        name_of(file), image.width, image.height, name_of(frames_[0]), first.width, first.height);
    return image;
  };
  return video_pixel_values(recipe_, std::ssize(frames_), frame, shift_);
}

Tensor FileImage::pixels() {
  std::call_once(once_, [this] {
    try {
      OwnedTensor pixels = made();
      const bool patches = recipe_.makes_patch_rows();
      const i64 rows = patches ? layout_.patches() : layout_.tiles;
      require(pixels->rows() == rows, ExitCode::bad_data,
              "{}: it changed while it was in use: {} {}, where its header said {}", name_of(frames_[0]),
              pixels->rows(), patches ? "patches" : "tiles", rows);
      pixels_ = std::move(pixels);
    } catch (const Error& error) {
      if (sample_.empty()) throw;
      fail(error.code(), "{}: {}", sample_, error.what());
    }
  });
  return pixels_;
}

}  // namespace longsight::data
