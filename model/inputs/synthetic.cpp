#include "model/inputs/synthetic.h"

#include "runtime/base/philox.h"
#include "runtime/tensor/host_values.h"

namespace longsight::model {
namespace {

class SyntheticImage final : public data::ImageSource {
 public:
  SyntheticImage(const data::ImageLayout& layout, const Shape& shape, const Philox& random, double deviation)
      : layout_(layout), pixels_(DType::F32, shape) {
    std::vector<float> values;
    for (i64 i = 0; i < pixels_->elements(); ++i)
      values.push_back(static_cast<float>(deviation * random.normal(static_cast<u64>(i))));
    write_values<float>(pixels_, values, {});
  }
  const data::ImageLayout& layout() const override { return layout_; }
  Tensor pixels() override { return pixels_; }

 private:
  data::ImageLayout layout_;
  OwnedTensor pixels_;
};

}  // namespace

std::shared_ptr<data::ImageSource> synthetic_image(const ModelConfig& config, const data::ImageLayout& layout,
                                                   u64 seed, const std::string& name, double deviation) {
  const VisionConfig& v = config.vision;
  const Shape shape = v.image_size > 0 ? Shape{layout.tiles, 3, v.image_size, v.image_size}
                                       : Shape{layout.patches(), v.patch_inputs()};
  return std::make_shared<SyntheticImage>(layout, shape, Philox(seed, name), deviation);
}

data::ImageLayout synthetic_layout(const ModelConfig& config, i64 rows, i64 columns) {
  if (config.vision.image_size > 0) return config.tile_layout();
  return {.tiles = 1, .rows = rows, .columns = columns};
}

}  // namespace longsight::model
