#include "runtime/data/image_processor.h"

#include <algorithm>
#include <cstring>

namespace longsight::data {
namespace {

// transformers: int(255 * mean) per channel, around the image in the middle.
Image padded_to_square(const Image& image, const std::array<double, 3>& mean) {
  if (image.height == image.width) return image;
  const i64 side = std::max(image.height, image.width);
  Image result(side, side);
  std::array<std::uint8_t, 3> background{};
  for (std::size_t c = 0; c < 3; ++c)
    background[c] = static_cast<std::uint8_t>(static_cast<int>(mean[c] * 255));
  for (std::size_t i = 0; i < result.rgb.size(); ++i) result.rgb[i] = background[i % 3];
  const i64 top = (side - image.height) / 2;
  const i64 left = (side - image.width) / 2;
  for (i64 y = 0; y < image.height; ++y) {
    std::memcpy(result.row(top + y) + left * 3, image.row(y), static_cast<std::size_t>(image.width * 3));
  }
  return result;
}

i64 floor_half(i64 x) {
  return x >= 0 ? x / 2 : -((1 - x) / 2);
}

Image center_cropped(const Image& image, ImageSize crop) {
  if (image.size() == crop) return image;
  Image result(crop.height, crop.width);  // black
  const i64 top = floor_half(image.height - crop.height);
  const i64 left = floor_half(image.width - crop.width);
  const i64 begin = std::max(i64{0}, -left);
  const i64 end = std::min(crop.width, image.width - left);
  for (i64 y = std::max(i64{0}, -top); y < std::min(crop.height, image.height - top); ++y) {
    std::memcpy(result.row(y) + begin * 3, image.row(y + top) + (left + begin) * 3,
                static_cast<std::size_t>((end - begin) * 3));
  }
  return result;
}

ImageSize padded_size(const ImageRecipe& recipe, ImageSize image) {
  if (!recipe.pad_to_square) return image;
  const i64 side = std::max(image.height, image.width);
  return {side, side};
}

ImageSize resized_size(const ImageRecipe& recipe, ImageSize image) {
  check(image.height > 0 && image.width > 0, "an image of {} x {}", image.height, image.width);
  switch (recipe.resize) {
    case ImageRecipe::Resize::none:
      return image;
    case ImageRecipe::Resize::exact:
      return recipe.size;
    case ImageRecipe::Resize::shortest_edge:
      break;
  }
  const i64 short_edge = std::min(image.height, image.width);
  const i64 long_edge = std::max(image.height, image.width);
  // Python's int(size * long / short): a division of integers rounded once, then truncated.
  const double ratio =
      static_cast<double>(checked_mul(recipe.size.height, long_edge)) / static_cast<double>(short_edge);
  const i64 new_long = static_cast<i64>(ratio);
  return image.width <= image.height ? ImageSize{new_long, recipe.size.height}
                                     : ImageSize{recipe.size.height, new_long};
}

float normalized(const ImageRecipe& recipe, std::size_t channel, int value) {
  float x = static_cast<float>(value);
  if (recipe.rescale) x = static_cast<float>(static_cast<double>(value) * recipe.rescale_factor);
  if (recipe.normalize)
    x = (x - static_cast<float>(recipe.mean[channel])) / static_cast<float>(recipe.std[channel]);
  return x;
}

}  // namespace

Image shift_image(const Image& image, i64 dx, i64 dy) {
  if (dx == 0 && dy == 0) return image;
  Image result(image.height, image.width);
  for (i64 y = 0; y < image.height; ++y) {
    const std::uint8_t* from = image.row(std::clamp(y - dy, i64{0}, image.height - 1));
    std::uint8_t* to = result.row(y);
    for (i64 x = 0; x < image.width; ++x) {
      std::memcpy(to + x * 3, from + std::clamp(x - dx, i64{0}, image.width - 1) * 3, 3);
    }
  }
  return result;
}

Image prepare_image(const ImageRecipe& recipe, const Image& image, Shift shift) {
  const ImageSize to = resized_size(recipe, padded_size(recipe, image.size()));
  Image result = resize_image(recipe.pad_to_square ? padded_to_square(image, recipe.mean) : image, to,
                              recipe.resample, recipe.pass_order);
  result = shift_image(result, shift.dx, shift.dy);
  return recipe.center_crop ? center_cropped(result, recipe.crop) : result;
}

void normalize_image(const ImageRecipe& recipe, const Image& prepared, Tensor values) {
  check(values.shape() == Shape({3, prepared.height, prepared.width}),
        "pixel values of shape {} for an image of {} x {}", values.shape().text(), prepared.height,
        prepared.width);
  float* to = values.as<float>();
  const std::size_t pixels = prepared.rgb.size() / 3;
  for (std::size_t c = 0; c < 3; ++c) {
    std::array<float, 256> table;
    for (int v = 0; v < 256; ++v) table[static_cast<std::size_t>(v)] = normalized(recipe, c, v);
    for (std::size_t i = 0; i < pixels; ++i) to[c * pixels + i] = table[prepared.rgb[i * 3 + c]];
  }
}

OwnedTensor pixel_values(const ImageRecipe& recipe, const Image& image, Shift shift) {
  const Image prepared = prepare_image(recipe, image, shift);
  OwnedTensor values(DType::F32, {3, prepared.height, prepared.width}, "pixel_values");
  normalize_image(recipe, prepared, values);
  return values;
}

ImageSize processed_size(const ImageRecipe& recipe, ImageSize image) {
  return recipe.center_crop ? recipe.crop : resized_size(recipe, padded_size(recipe, image));
}

PatchGrid processed_grid(const ImageRecipe& recipe, ImageSize image, i64 patch_size) {
  check(patch_size > 0, "patches of {} pixels", patch_size);
  const ImageSize size = processed_size(recipe, image);
  return {size.height / patch_size, size.width / patch_size};
}

}  // namespace longsight::data
