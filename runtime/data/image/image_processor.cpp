#include "runtime/data/image/image_processor.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

namespace longsight::data {
namespace {

// transformers: int(255 * mean) per channel, around the image in the middle.
Image padded_to(ImageSize size, const Image& image, const std::array<double, 3>& mean) {
  Image result(size.height, size.width);
  std::array<std::uint8_t, 3> background{};
  for (std::size_t c = 0; c < 3; ++c)
    background[c] = static_cast<std::uint8_t>(static_cast<int>(mean[c] * 255));
  for (std::size_t i = 0; i < result.rgb.size(); ++i) result.rgb[i] = background[i % 3];
  const i64 top = (size.height - image.height) / 2;
  const i64 left = (size.width - image.width) / 2;
  for (i64 y = 0; y < image.height; ++y) {
    std::memcpy(result.row(top + y) + left * 3, image.row(y), static_cast<std::size_t>(image.width * 3));
  }
  return result;
}

i64 floor_half(i64 x) {
  return x >= 0 ? x / 2 : -((1 - x) / 2);
}

// The part of the image that begins at (top, left); black where that is outside.
Image cut_out(const Image& image, i64 top, i64 left, ImageSize size) {
  Image result(size.height, size.width);
  const i64 begin = std::max(i64{0}, -left);
  const i64 end = std::min(size.width, image.width - left);
  for (i64 y = std::max(i64{0}, -top); y < std::min(size.height, image.height - top); ++y) {
    std::memcpy(result.row(y) + begin * 3, image.row(y + top) + (left + begin) * 3,
                static_cast<std::size_t>((end - begin) * 3));
  }
  return result;
}

// Tiles row by row; an image of another size than one tile is cropped around its centre.
std::vector<Image> tiles_of(Image canvas, const ImageTiling& plan) {
  std::vector<Image> tiles;
  if (plan.grid.rows * plan.grid.columns == 1) {
    const bool whole = canvas.size() == plan.tile;
    const i64 top = floor_half(canvas.height - plan.tile.height);
    const i64 left = floor_half(canvas.width - plan.tile.width);
    tiles.push_back(whole ? std::move(canvas) : cut_out(canvas, top, left, plan.tile));
    return tiles;
  }
  for (i64 row = 0; row < plan.grid.rows; ++row) {
    for (i64 column = 0; column < plan.grid.columns; ++column) {
      tiles.push_back(cut_out(canvas, row * plan.tile.height, column * plan.tile.width, plan.tile));
    }
  }
  return tiles;
}

// What each of the 256 values of a channel becomes.
using ValueTable = std::array<std::array<float, 256>, 3>;

ValueTable value_table(const ImageRecipe& recipe) {
  ValueTable table;
  for (std::size_t c = 0; c < 3; ++c) {
    for (int v = 0; v < 256; ++v) {
      float x = static_cast<float>(v);
      if (recipe.rescale) x = static_cast<float>(static_cast<double>(v) * recipe.rescale_factor);
      if (recipe.normalize) x = (x - static_cast<float>(recipe.mean[c])) / static_cast<float>(recipe.std[c]);
      table[c][static_cast<std::size_t>(v)] = x;
    }
  }
  return table;
}

void normalize(const ValueTable& table, const Image& image, float* to) {
  const std::size_t pixels = image.rgb.size() / 3;
  const std::uint8_t* from = image.rgb.data();
  for (std::size_t i = 0; i < pixels; ++i) {
    to[i] = table[0][from[i * 3]];
    to[pixels + i] = table[1][from[i * 3 + 1]];
    to[2 * pixels + i] = table[2][from[i * 3 + 2]];
  }
}

i64 patch_row_size(const ImageRecipe& recipe) {
  return 3 * recipe.pixels.frames_per_patch * recipe.patch * recipe.patch;
}

// One channel of the patch whose upper left pixel is at (y, x): [side, side].
void write_patch(const std::array<float, 256>& table, const Image& image, i64 y, i64 x, std::size_t channel,
                 i64 side, float* to) {
  for (i64 row = 0; row < side; ++row) {
    const std::uint8_t* from = image.row(y + row) + x * 3 + static_cast<i64>(channel);
    for (i64 column = 0; column < side; ++column) *to++ = table[from[column * 3]];
  }
}

// The patches of frames that share their rows; two neighbouring frames may be the same one.
void write_patch_rows(const ImageRecipe& recipe, const ValueTable& table,
                      std::span<const Image* const> frames, Tensor rows) {
  const i64 side = recipe.patch, merge = recipe.pixels.merge, area = side * side;
  const ImageSize size = frames.front()->size();
  const i64 block_rows = exact_div(size.height, side * merge),
            block_columns = exact_div(size.width, side * merge);
  check(rows.shape() == Shape({block_rows * block_columns * merge * merge, 3 * area * std::ssize(frames)}),
        "patch rows {} for {} frames of {} x {}", rows.shape(), frames.size(), size.height, size.width);
  float* to = rows.host<float>();
  for (i64 block = 0; block < block_rows * block_columns; ++block) {
    for (i64 patch = 0; patch < merge * merge; ++patch) {
      const i64 y = (block / block_columns * merge + patch / merge) * side;
      const i64 x = (block % block_columns * merge + patch % merge) * side;
      for (std::size_t c = 0; c < 3; ++c) {
        for (std::size_t f = 0; f < frames.size(); ++f, to += area) {
          if (f > 0 && frames[f] == frames[f - 1]) {
            std::copy_n(to - area, area, to);
          } else {
            write_patch(table[c], *frames[f], y, x, c, side, to);
          }
        }
      }
    }
  }
}

}  // namespace

Image shift_image(Image image, i64 dx, i64 dy) {
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

std::vector<Image> prepare_image(const ImageRecipe& recipe, const Image& image, Shift shift, i64 frames) {
  const ImageTiling plan = image_tiling(recipe, image.size(), frames);
  const auto resized = [&recipe](const Image& from, ImageSize to) {
    return resize_image(from, to, recipe.resample, recipe.pass_order);
  };
  Image before;  // what the last resize takes, where that is not the image itself
  if (plan.padded != image.size()) before = padded_to(plan.padded, image, recipe.mean);
  if (plan.first && *plan.first != image.size()) before = resized(image, *plan.first);
  Image canvas = shift_image(resized(before.rgb.empty() ? image : before, plan.canvas), shift.dx, shift.dy);
  Image thumbnail;
  if (plan.grid.thumbnail) {
    thumbnail =
        plan.thumbnail_of_canvas
            ? resized(canvas, plan.tile)
            : shift_image(resized(image, plan.tile), shift.dx / plan.grid.columns, shift.dy / plan.grid.rows);
  }
  std::vector<Image> tiles = tiles_of(std::move(canvas), plan);
  if (plan.grid.thumbnail) tiles.push_back(std::move(thumbnail));
  return tiles;
}

OwnedTensor pixel_values(const ImageRecipe& recipe, const Image& image, Shift shift) {
  const std::vector<Image> tiles = prepare_image(recipe, image, shift);
  if (recipe.makes_patch_rows()) {
    const auto copies = static_cast<std::size_t>(recipe.pixels.frames_per_patch);
    const std::vector<const Image*> frames(copies, &tiles[0]);
    const i64 patches = tiles[0].height / recipe.patch * (tiles[0].width / recipe.patch);
    OwnedTensor rows(DType::F32, {patches, patch_row_size(recipe)}, "pixel_values");
    write_patch_rows(recipe, value_table(recipe), frames, rows);
    return rows;
  }
  const i64 height = tiles[0].height, width = tiles[0].width;
  OwnedTensor values(DType::F32, {std::ssize(tiles), 3, height, width}, "pixel_values");
  const ValueTable table = value_table(recipe);
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    normalize(table, tiles[i], values->host<float>() + static_cast<i64>(i) * 3 * height * width);
  }
  return values;
}

OwnedTensor video_pixel_values(const ImageRecipe& recipe, i64 frames, const std::function<Image(i64)>& frame,
                               Shift shift) {
  check(recipe.is_video() && frames >= 1, "{} frames for a {}", frames, name_of(recipe.processor));
  const i64 together = recipe.pixels.frames_per_patch;
  const ValueTable table = value_table(recipe);
  OwnedTensor rows;
  ImageSize first;
  i64 patches = 0;  // of each temporal patch
  for (i64 begin = 0; begin < frames; begin += together) {
    std::vector<Image> prepared;
    std::vector<const Image*> pointers;
    prepared.reserve(static_cast<std::size_t>(together));
    for (i64 i = begin; i < begin + together; ++i) {
      if (i < frames) {
        const Image image = frame(i);
        if (i == 0) first = image.size();
        check(image.size() == first, "frame {} of {} x {} pixels, the first one of {} x {}", i, image.width,
              image.height, first.width, first.height);
        prepared.push_back(std::move(prepare_image(recipe, image, shift, frames)[0]));
      }
      pointers.push_back(&prepared.back());
    }
    if (begin == 0) {
      patches = prepared[0].height / recipe.patch * (prepared[0].width / recipe.patch);
      rows = OwnedTensor(DType::F32, {ceil_div(frames, together) * patches, patch_row_size(recipe)},
                         "pixel_values");
    }
    write_patch_rows(recipe, table, pointers, rows->row_range(begin / together * patches, patches));
  }
  return rows;
}

}  // namespace longsight::data
