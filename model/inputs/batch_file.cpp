#include "model/inputs/batch_file.h"

#include <algorithm>
#include <set>

#include "model/inputs/batch_images.h"
#include "model/inputs/rope_table.h"

namespace longsight::model {
namespace {

std::set<std::string> known_tensors(const ModelConfig& config) {
  std::set<std::string> known{"input_ids", "labels", "attention_mask"};
  if (!config.has_vision()) return known;
  known.insert("pixel_values");
  if (config.vision.image_size == 0)
    known.insert({"image_grid_thw", "pixel_values_videos", "video_grid_thw", "second_per_grid_ts"});
  known.insert("mm_token_type_ids");
  if (config.prefix_attention) known.insert("token_type_ids");
  if (config.vision.positions == VisionConfig::Positions::spread) known.insert("pixel_attention_mask");
  return known;
}

// A matrix i64 [B, S]; `like` (may be null) is the shape that it must have.
OwnedTensor read_matrix(const io::SafetensorsFile& file, const std::string& name, const Shape* like) {
  const io::TensorEntry* entry = file.find(name);
  require(entry != nullptr, ExitCode::bad_data, "{}: tensor {} is missing", file.path(), name);
  require(
      entry->dtype == DType::I64 && entry->shape.rank() == 2 && (like == nullptr || entry->shape == *like),
      ExitCode::bad_data, "{}: {} is {} {}, not I64 {}", file.path(), name, entry->stored_as, entry->shape,
      like == nullptr ? "[B, S]" : like->text());
  return file.read(name);
}

// The rows of a matrix that may be absent.
class Rows {
 public:
  Rows(const io::SafetensorsFile& file, const std::string& name, const Shape& shape) : columns_(shape[1]) {
    if (file.find(name) != nullptr) matrix_ = read_matrix(file, name, &shape);
  }
  bool present() const { return static_cast<bool>(matrix_.view()); }
  std::span<const i64> row(i64 r, i64 count) const {
    return {matrix_->host<i64>() + r * columns_, static_cast<std::size_t>(count)};
  }

 private:
  i64 columns_;
  OwnedTensor matrix_;
};

// Tokens of a row: the prefix of ones of its mask.
i64 prefix_of_ones(std::span<const i64> mask, const std::string& where) {
  const auto end = std::find_if(mask.begin(), mask.end(), [](i64 m) { return m != 1; });
  require(std::all_of(end, mask.end(), [](i64 m) { return m == 0; }), ExitCode::bad_data,
          "{}: attention_mask is not ones followed by zeros (padding belongs on the right)", where);
  return end - mask.begin();
}

// Tokens in front of the first 1; behind it everything is suffix.
i64 prefix_of_zeros(std::span<const i64> types, const std::string& where) {
  const auto end = std::find(types.begin(), types.end(), 1);
  require(std::all_of(types.begin(), end, [](i64 t) { return t == 0; }) &&
              std::all_of(end, types.end(), [](i64 t) { return t == 1; }),
          ExitCode::bad_data, "{}: token_type_ids is not zeros (prefix) followed by ones (suffix)", where);
  return end - types.begin();
}

void check_modalities(std::span<const i64> types, const Sample& s, const ModelConfig& config) {
  for (std::size_t t = 0; t < types.size(); ++t) {
    const i64 expected = s.ids[t] < 0                     ? 0
                         : s.ids[t] == config.image_token ? 1
                         : s.ids[t] == config.video_token ? 2
                                                          : 0;
    require(types[t] == expected, ExitCode::bad_data,
            "{}: mm_token_type_ids is {} at token {}, whose id {} makes it {}", s.id, types[t], t, s.ids[t],
            expected);
  }
}

// Hands out images and videos as their placeholders come: the k-th placeholder of the batch takes the k-th
// feature row, so images belong to rows by count.
class Dealer {
 public:
  Dealer(const io::SafetensorsFile& file, const ModelConfig& config)
      : config_(config), images_(read_batch_images(file, config)) {}

  void deal(Sample& s) {
    i64 open = 0;  // features of the last image that have no placeholder yet
    for (i64 id : s.ids) {
      if (!config_.is_placeholder(id)) continue;
      if (open == 0) open = take(s, id != config_.image_token);
      --open;
    }
    const i64 placeholders =
        std::count_if(s.ids.begin(), s.ids.end(), [&](i64 id) { return config_.is_placeholder(id); });
    require(open == 0, ExitCode::bad_data, "{}: {} image placeholder tokens are {} too few for {} images",
            s.id, placeholders, open, s.images.size());
  }
  void finish(const std::string& path) const {
    require(image_ == images_.images.size(), ExitCode::bad_data,
            "{}: {} images in pixel_values but placeholders for {}", path, images_.images.size(), image_);
    require(video_ == images_.videos.size(), ExitCode::bad_data,
            "{}: {} videos in pixel_values_videos but placeholders for {}", path, images_.videos.size(),
            video_);
  }

 private:
  i64 take(Sample& s, bool video) {
    const auto& from = video ? images_.videos : images_.images;
    std::size_t& next = video ? video_ : image_;
    require(next < from.size(), ExitCode::bad_data, "{}: placeholders for more {} than the {} in {}", s.id,
            video ? "videos" : "images", from.size(), video ? "pixel_values_videos" : "pixel_values");
    s.images.push_back(from[next++]);
    return config_.features(s.images.back()->layout());
  }

  const ModelConfig& config_;
  BatchImages images_;
  std::size_t image_ = 0, video_ = 0;
};

}  // namespace

i64 BatchFile::supervised() const {
  i64 count = 0;
  for (const Sample& s : samples) count += supervised_tokens(s);
  return count;
}

BatchFile read_batch_file(const std::string& path, const ModelConfig& config) {
  const io::SafetensorsFile file(path);
  const std::set<std::string> known = known_tensors(config);
  for (const auto& entry : file.entries()) {
    require(known.contains(entry.name), ExitCode::bad_data, "{}: tensor {} is not an input of a {} model",
            path, entry.name, config.family);
  }
  const Shape shape = read_matrix(file, "input_ids", nullptr)->shape();
  const Rows ids(file, "input_ids", shape), labels(file, "labels", shape),
      mask(file, "attention_mask", shape), modalities(file, "mm_token_type_ids", shape),
      types(file, "token_type_ids", shape);
  require(labels.present(), ExitCode::bad_data, "{}: tensor labels is missing", path);
  Dealer dealer(file, config);
  BatchFile batch{.rows = shape[0], .columns = shape[1], .samples = {}};
  for (i64 row = 0; row < batch.rows; ++row) {
    Sample s{.id = fmt::format("{}: row {}", path, row), .ids = {}, .labels = {}, .images = {}};
    const i64 tokens = mask.present() ? prefix_of_ones(mask.row(row, batch.columns), s.id) : batch.columns;
    const auto row_ids = ids.row(row, tokens), row_labels = labels.row(row, tokens);
    s.ids.assign(row_ids.begin(), row_ids.end());
    s.labels.assign(row_labels.begin(), row_labels.end());
    if (modalities.present()) check_modalities(modalities.row(row, tokens), s, config);
    if (types.present()) s.prefix = prefix_of_zeros(types.row(row, tokens), s.id);
    // The reference counts with the padded length of the batch.
    if (depends_on_length(config.text.rope)) s.rope_length = batch.columns;
    dealer.deal(s);
    check_sample(s, config);
    batch.samples.push_back(std::move(s));
  }
  dealer.finish(path);
  return batch;
}

}  // namespace longsight::model
