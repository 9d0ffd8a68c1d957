#include "model/batch_file.h"

#include <algorithm>
#include <set>

#include "runtime/io/safetensors.h"

namespace longsight::model {
namespace {

class StoredImage final : public data::ImageSource {
 public:
  StoredImage(std::shared_ptr<OwnedTensor> all, i64 index, data::ImageLayout layout)
      : all_(std::move(all)), index_(index), layout_(layout) {}
  const data::ImageLayout& layout() const override { return layout_; }
  Tensor pixels() override {
    const Tensor image = all_->view().row_range(index_, 1);
    return image.reshape({image.extent(1), image.extent(2), image.extent(3)});
  }

 private:
  std::shared_ptr<OwnedTensor> all_;
  i64 index_;
  data::ImageLayout layout_;
};

OwnedTensor read_matrix(const io::SafetensorsFile& file, const std::string& name, const Shape* like) {
  const io::TensorEntry* entry = file.find(name);
  require(entry != nullptr, ExitCode::bad_data, "{}: tensor {} is missing", file.path(), name);
  require(
      entry->dtype == DType::I64 && entry->shape.rank() == 2 && (like == nullptr || entry->shape == *like),
      ExitCode::bad_data, "{}: {} is {} {}, not I64 {}", file.path(), name, entry->stored_as,
      entry->shape.text(), like == nullptr ? "[B, S]" : like->text());
  return file.read(name);
}

// Tokens of a row: the prefix of ones of its mask.
i64 prefix_of_ones(std::span<const i64> mask, const std::string& where) {
  const auto end = std::find_if(mask.begin(), mask.end(), [](i64 m) { return m != 1; });
  require(std::all_of(end, mask.end(), [](i64 m) { return m == 0; }), ExitCode::bad_data,
          "{}: attention_mask is not ones followed by zeros (padding belongs on the right)", where);
  return end - mask.begin();
}

}  // namespace

i64 BatchFile::supervised() const {
  i64 count = 0;
  for (const Sample& s : samples) count += supervised_tokens(s);
  return count;
}

BatchFile read_batch_file(const std::string& path, const ModelConfig& config) {
  const io::SafetensorsFile file(path);
  static const std::set<std::string> kKnown{"input_ids", "labels", "attention_mask", "pixel_values"};
  for (const auto& entry : file.entries()) {
    require(kKnown.contains(entry.name), ExitCode::bad_data, "{}: tensor {} is not an input of a {} model",
            path, entry.name, config.family);
  }
  const OwnedTensor ids = read_matrix(file, "input_ids", nullptr);
  const Shape shape = ids->shape();
  const OwnedTensor labels = read_matrix(file, "labels", &shape);
  const bool masked = file.find("attention_mask") != nullptr;
  const OwnedTensor mask = masked ? read_matrix(file, "attention_mask", &shape) : OwnedTensor();

  auto pixels = std::make_shared<OwnedTensor>(
      DType::F32, Shape{0, 3, config.vision.image_size, config.vision.image_size});
  if (const io::TensorEntry* entry = file.find("pixel_values"); entry != nullptr) {
    const Shape one{3, config.vision.image_size, config.vision.image_size};
    require(entry->dtype == DType::F32 && entry->shape.rank() == 4 && entry->shape[1] == one[0] &&
                entry->shape[2] == one[1] && entry->shape[3] == one[2],
            ExitCode::bad_data, "{}: pixel_values is {} {}, not F32 [images, 3, {}, {}]", path,
            entry->stored_as, entry->shape.text(), one[1], one[2]);
    *pixels = file.read("pixel_values");
  }
  BatchFile batch{.rows = shape[0], .columns = shape[1], .samples = {}};
  i64 image = 0;
  for (i64 row = 0; row < batch.rows; ++row) {
    Sample s{.id = fmt::format("{}: row {}", path, row), .ids = {}, .labels = {}, .images = {}};
    const i64* row_ids = ids->as<i64>() + row * batch.columns;
    const i64* row_labels = labels->as<i64>() + row * batch.columns;
    const i64 tokens =
        masked ? prefix_of_ones(
                     {mask->as<i64>() + row * batch.columns, static_cast<std::size_t>(batch.columns)}, s.id)
               : batch.columns;
    s.ids.assign(row_ids, row_ids + tokens);
    s.labels.assign(row_labels, row_labels + tokens);
    // The k-th placeholder of the batch takes the k-th feature row: images belong to rows by count.
    const i64 placeholders = std::count(s.ids.begin(), s.ids.end(), config.image_token);
    require(placeholders % config.features_per_image() == 0, ExitCode::bad_data,
            "{}: {} image placeholder tokens are no multiple of the {} of an image", s.id, placeholders,
            config.features_per_image());
    for (i64 n = placeholders / config.features_per_image(); n > 0; --n, ++image) {
      require(image < (*pixels)->rows(), ExitCode::bad_data,
              "{}: placeholders for more images than the {} in pixel_values", s.id, (*pixels)->rows());
      s.images.push_back(std::make_shared<StoredImage>(pixels, image, config.image_layout()));
    }
    check_sample(s, config);
    batch.samples.push_back(std::move(s));
  }
  require(image == (*pixels)->rows(), ExitCode::bad_data,
          "{}: {} images in pixel_values but placeholders for {}", path, (*pixels)->rows(), image);
  return batch;
}

}  // namespace longsight::model
