// Samples packed end to end, ready for a pass: token ids and targets of the whole stream (every rank has
// them), and images that a rank decodes only if it holds rows of them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/config.h"
#include "parallel/geometry.h"
#include "runtime/data/image_source.h"

namespace longsight::model {

// Labels as in Hugging Face: not shifted, -100 is ignored. Placeholders of images are in the ids.
struct Sample {
  std::string id;  // for errors: "train.jsonl:17"
  std::vector<i64> ids;
  std::vector<i64> labels;
  std::vector<std::shared_ptr<data::ImageSource>> images;

  i64 tokens() const { return static_cast<i64>(ids.size()); }
};

i64 supervised_tokens(const Sample&);  // labels that have a token before them

struct MicroBatch {
  parallel::Geometry geometry;
  std::vector<i64> ids;        // [T]
  std::vector<i64> positions;  // [T], from 0 in each sample
  std::vector<std::shared_ptr<data::ImageSource>> images;
};

// Ids outside the vocabulary, and placeholders that are not as many as the images' features, are bad_data
// naming the sample.
void check_sample(const Sample&, const ModelConfig&);
MicroBatch pack(std::span<const Sample>, const ModelConfig&);

}  // namespace longsight::model
