// Samples packed end to end, ready for a pass: token ids and targets of the whole stream (every rank has
// them), and images that a rank decodes only if it holds rows of them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/inputs/positions.h"
#include "parallel/layout/geometry.h"

namespace longsight::model {

// Labels as in Hugging Face: not shifted, -100 is ignored. Placeholders of images are in the ids.
struct Sample {
  std::string id;  // for errors: "train.jsonl:17"
  std::vector<i64> ids;
  std::vector<i64> labels;
  std::vector<std::shared_ptr<data::ImageSource>> images;  // and videos, in the order of their placeholders
  i64 prefix = 0;  // tokens in front of the answer that see each other, for families with prefix attention
  i64 rope_length = 0;  // what dynamic RoPE takes for the sample's length; 0: its own

  i64 tokens() const { return static_cast<i64>(ids.size()); }
};

i64 supervised_tokens(const Sample&);  // labels that have a token before them
i64 visual_tokens(const Sample&, const ModelConfig&);

struct MicroBatch {
  parallel::Geometry geometry;
  std::vector<i64> ids;             // [T]
  std::vector<Position> positions;  // [T]
  std::vector<i64> rope_lengths;    // [T]; empty where RoPE does not depend on the length
  std::vector<std::shared_ptr<data::ImageSource>> images;
};

// Ids outside the vocabulary, and placeholders that are not as many as the images' features or not where they
// belong, are bad_data naming the sample.
void check_sample(const Sample&, const ModelConfig&);
MicroBatch pack(std::span<const Sample>, const ModelConfig&);

// Adds one image, with its tiles and features, to the vision stream; for `pack`, and for images run alone.
void append_image(MicroBatch&, const std::shared_ptr<data::ImageSource>&, const ModelConfig&);

}  // namespace longsight::model
