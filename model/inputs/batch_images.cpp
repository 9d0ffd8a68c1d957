#include "model/inputs/batch_images.h"

#include <algorithm>

namespace longsight::model {
namespace {

// Some rows of a tensor that many images share.
class StoredImage final : public data::ImageSource {
 public:
  StoredImage(std::shared_ptr<OwnedTensor> owner, Tensor rows, const data::ImageLayout& layout)
      : owner_(std::move(owner)), rows_(rows), layout_(layout) {}
  const data::ImageLayout& layout() const override { return layout_; }
  Tensor pixels() override { return rows_; }

 private:
  std::shared_ptr<OwnedTensor> owner_;
  Tensor rows_;
  data::ImageLayout layout_;
};

using Images = std::vector<std::shared_ptr<data::ImageSource>>;

bool all_zero(Tensor image) {
  const float* values = image.host<float>();
  return std::all_of(values, values + image.elements(), [](float v) { return v == 0; });
}

// A masked pixel of an image that counts would be left out of attention: processors make whole images only.
void check_pixel_mask(const io::SafetensorsFile& file, const Shape& pixels, const std::vector<i64>& kept) {
  const io::TensorEntry* entry = file.find("pixel_attention_mask");
  if (entry == nullptr) return;
  const Shape expected = pixels.rank() == 5 ? Shape{pixels[0], pixels[1], pixels[3], pixels[4]}
                                            : Shape{pixels[0], pixels[2], pixels[3]};
  require(entry->shape == expected && (entry->dtype == DType::I64 || entry->dtype == DType::U8),
          ExitCode::bad_data, "{}: pixel_attention_mask is {} {}, not I64 {}", file.path(), entry->stored_as,
          entry->shape, expected.text());
  const OwnedTensor mask = file.read("pixel_attention_mask");
  const auto one = [&](i64 i) {
    return entry->dtype == DType::I64 ? mask->host<i64>()[i] == 1 : mask->host<std::uint8_t>()[i] == 1;
  };
  const i64 of_image = expected[expected.rank() - 2] * expected[expected.rank() - 1];
  for (i64 image : kept) {
    for (i64 i = image * of_image; i < (image + 1) * of_image; ++i) {
      require(one(i), ExitCode::bad_data,
              "{}: pixel_attention_mask hides a part of image {}: only whole images are supported",
              file.path(), image);
    }
  }
}

Images read_tiles(const io::SafetensorsFile& file, const ModelConfig& config) {
  const io::TensorEntry* entry = file.find("pixel_values");
  if (entry == nullptr) return {};
  const i64 size = config.vision.image_size;
  const int rank = static_cast<int>(entry->shape.rank());
  require(entry->dtype == DType::F32 && (rank == 4 || rank == 5) && entry->shape[rank - 3] == 3 &&
              entry->shape[rank - 2] == size && entry->shape[rank - 1] == size,
          ExitCode::bad_data,
          "{}: pixel_values is {} {}, not F32 [images, 3, {}, {}] or [B, images, 3, {}, {}]", file.path(),
          entry->stored_as, entry->shape, size, size, size, size);
  const auto pixels = std::make_shared<OwnedTensor>(file.read("pixel_values"));
  const Tensor all =
      (*pixels)->reshape({rank == 4 ? entry->shape[0] : entry->shape[0] * entry->shape[1], 3, size, size});
  Images images;
  std::vector<i64> kept;
  for (i64 i = 0; i < all.rows(); ++i) {
    const Tensor image = all.row_range(i, 1);
    // Rows with fewer images than others are filled up with images of zeros.
    if (rank == 5 && all_zero(image)) continue;
    kept.push_back(i);
    images.push_back(std::make_shared<StoredImage>(pixels, image, config.tile_layout()));
  }
  check_pixel_mask(file, entry->shape, kept);
  return images;
}

// Images or videos that come as rows of patches, each with its grid [t, h, w].
Images read_patches(const io::SafetensorsFile& file, const ModelConfig& config, bool video) {
  const std::string values = video ? "pixel_values_videos" : "pixel_values",
                    grids = video ? "video_grid_thw" : "image_grid_thw";
  const VisionConfig& v = config.vision;
  const io::TensorEntry *value_entry = file.find(values), *grid_entry = file.find(grids);
  if (value_entry == nullptr && grid_entry == nullptr) return {};
  require(value_entry != nullptr && grid_entry != nullptr, ExitCode::bad_data, "{}: tensor {} without {}",
          file.path(), value_entry == nullptr ? grids : values, value_entry == nullptr ? values : grids);
  require(value_entry->dtype == DType::F32 && value_entry->shape.rank() == 2 &&
              value_entry->shape[1] == v.patch_inputs(),
          ExitCode::bad_data, "{}: {} is {} {}, not F32 [patches, {}]", file.path(), values,
          value_entry->stored_as, value_entry->shape, v.patch_inputs());
  require(grid_entry->dtype == DType::I64 && grid_entry->shape.rank() == 2 && grid_entry->shape[1] == 3,
          ExitCode::bad_data, "{}: {} is {} {}, not I64 [images, 3]", file.path(), grids,
          grid_entry->stored_as, grid_entry->shape);
  const auto patches = std::make_shared<OwnedTensor>(file.read(values));
  const OwnedTensor grid = file.read(grids);
  OwnedTensor seconds;
  if (video && file.find("second_per_grid_ts") != nullptr) {
    seconds = OwnedTensor(DType::F64, file.find("second_per_grid_ts")->shape);
    require(seconds->elements() == grid->rows(), ExitCode::bad_data,
            "{}: second_per_grid_ts has {} entries for {} videos", file.path(), seconds->elements(),
            grid->rows());
    file.read("second_per_grid_ts", seconds);
  }
  Images images;
  i64 first = 0;
  for (i64 i = 0; i < grid->rows(); ++i) {
    const i64 *thw = grid->host<i64>() + 3 * i, t = thw[0], h = thw[1], w = thw[2];
    constexpr i64 kMost = i64{1} << 20;
    require(t > 0 && h > 0 && w > 0 && t < kMost && h < kMost && w < kMost && h % v.merge == 0 &&
                w % v.merge == 0,
            ExitCode::bad_data, "{}: {} {}: {} x {} x {} patches are not whole blocks of {} x {}",
            file.path(), grids, i, t, h, w, v.merge, v.merge);
    require(t * h * w <= (*patches)->rows() - first, ExitCode::bad_data,
            "{}: {} has {} rows, fewer than {} names", file.path(), values, (*patches)->rows(), grids);
    const data::ImageLayout layout{.tiles = t,
                                   .rows = h,
                                   .columns = w,
                                   .video = video,
                                   .seconds_per_tile = seconds.view() ? seconds->host<double>()[i] : 0};
    images.push_back(std::make_shared<StoredImage>(patches, (*patches)->row_range(first, t * h * w), layout));
    first += t * h * w;
  }
  require(first == (*patches)->rows(), ExitCode::bad_data, "{}: {} has {} rows, more than the {} of {}",
          file.path(), values, (*patches)->rows(), first, grids);
  return images;
}

}  // namespace

BatchImages read_batch_images(const io::SafetensorsFile& file, const ModelConfig& config) {
  if (!config.has_vision()) return {};
  if (config.vision.image_size > 0) return {.images = read_tiles(file, config), .videos = {}};
  return {.images = read_patches(file, config, false), .videos = read_patches(file, config, true)};
}

}  // namespace longsight::model
