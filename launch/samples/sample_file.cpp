#include "launch/samples/sample_file.h"

#include <algorithm>

#include "runtime/io/safetensors.h"
#include "runtime/tensor/host_values.h"

namespace longsight::launch {
namespace {

OwnedTensor as_tensor(const std::vector<i64>& values, const Shape& shape) {
  OwnedTensor tensor(DType::I64, shape);
  write_values<i64>(tensor, values, {});
  return tensor;
}

// The pixels of all images, or of all videos, one behind the other, and the grid of each.
struct Joined {
  OwnedTensor pixels;
  std::vector<i64> grids;      // t, h, w of each
  std::vector<float> seconds;  // between the temporal patches of each
};

Joined join(const model::Sample& sample, bool videos, Stream stream) {
  Joined joined;
  i64 rows = 0;
  Shape one;
  for (const auto& image : sample.images) {
    const data::ImageLayout& layout = image->layout();
    if (layout.video != videos) continue;
    joined.grids.insert(joined.grids.end(), {layout.tiles, layout.rows, layout.columns});
    joined.seconds.push_back(static_cast<float>(layout.seconds()));
    one = image->pixels().shape();
    rows += one[0];
  }
  if (rows == 0) return joined;
  const Shape all = one.rank() == 2 ? Shape{rows, one[1]} : Shape{rows, one[1], one[2], one[3]};
  joined.pixels = OwnedTensor(DType::F32, all);
  i64 row = 0;
  for (const auto& image : sample.images) {
    if (image->layout().video != videos) continue;
    const Tensor pixels = image->pixels();
    copy(joined.pixels->row_range(row, pixels.rows()), pixels, stream);
    row += pixels.rows();
  }
  return joined;
}

}  // namespace

void write_sample_file(const model::Sample& sample, const model::ModelConfig& config, const std::string& path,
                       Stream stream) {
  std::vector<OwnedTensor> kept;  // what the named tensors look at
  std::vector<io::NamedTensor> tensors;
  kept.reserve(16);
  const auto add_integers = [&](const char* name, const std::vector<i64>& values, const Shape& shape) {
    kept.push_back(as_tensor(values, shape));
    tensors.push_back({name, kept.back(), DType::I64});
  };
  const Shape length{sample.tokens()};
  add_integers("input_ids", sample.ids, length);
  add_integers("labels", sample.labels, length);
  if (config.prefix_attention) {
    std::vector<i64> types(sample.ids.size(), 1);
    std::fill_n(types.begin(), sample.prefix, 0);
    add_integers("token_type_ids", types, length);
  }
  for (bool videos : {false, true}) {
    Joined joined = join(sample, videos, stream);
    if (joined.grids.empty()) continue;
    kept.push_back(std::move(joined.pixels));
    Tensor pixels = kept.back();
    if (videos && config.positions_per_second > 0) {
      kept.emplace_back(DType::F32, Shape{static_cast<i64>(joined.seconds.size())});
      write_values<float>(kept.back(), joined.seconds, {});
      tensors.push_back({"second_per_grid_ts", kept.back(), DType::F32});
    }
    if (config.vision.image_size == 0) {
      add_integers(videos ? "video_grid_thw" : "image_grid_thw", joined.grids,
                   {static_cast<i64>(joined.grids.size()) / 3, 3});
    } else if (config.media_style == model::MediaStyle::smolvlm) {
      const Shape s = pixels.shape();
      pixels = pixels.reshape({1, s[0], s[1], s[2], s[3]});
      add_integers("pixel_attention_mask", std::vector<i64>(static_cast<std::size_t>(s[0] * s[2] * s[3]), 1),
                   {1, s[0], s[2], s[3]});
    }
    tensors.push_back({videos ? "pixel_values_videos" : "pixel_values", pixels, DType::F32});
  }
  io::write_safetensors(path, tensors);
}

}  // namespace longsight::launch
