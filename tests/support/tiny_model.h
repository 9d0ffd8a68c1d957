// A LLaVA that is small and awkward: 6 query and 3 KV heads, 5 ViT heads, a class token, two feature layers
// of which the higher leaves a block unused, biases everywhere.
#pragma once

#include <memory>
#include <vector>

#include "model/inputs/micro_batch.h"
#include "model/vlm.h"

namespace longsight::test {

nlohmann::json tiny_config();
// Parameters drawn at random, also those that initialise to zeros and ones, so that no gradient vanishes by
// symmetry.
std::unique_ptr<model::Vlm> tiny_model(DType dtype, const nlohmann::json& config = tiny_config(),
                                       bool with_gradients = true, const model::AdapterConfig& adapters = {});

struct SampleShape {
  i64 tokens = 0;  // all of them, placeholders included; more if the images need more
  i64 images = 0;
};
// Random text, labels on about half of it, pixels by Philox. A model without a vision tower gets no images.
std::vector<model::Sample> tiny_samples(const model::ModelConfig&, const std::vector<SampleShape>&,
                                        u64 seed = 1);

}  // namespace longsight::test
