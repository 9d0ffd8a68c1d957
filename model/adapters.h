// LoRA (Hu et al. 2021): to a linear layer W [N, K] comes (alpha / rank) B A with A [rank, K] and B [N,
// rank].
#pragma once

#include <string>
#include <vector>

#include "model/parameter_ids.h"

namespace longsight::model {

struct AdapterConfig {
  i64 rank = 0;  // 0: no adapters
  double alpha = 0;
  std::vector<std::string> targets;  // globs over names of linear layers: "language_model.*.q_proj"
  bool random_b = false;  // B drawn at random instead of zero, so that an audit sees every gradient

  bool any() const { return rank > 0; }
  double scale() const { return alpha / static_cast<double>(rank); }
};

// Registers NAME.lora_A.weight and NAME.lora_B.weight for each linear layer NAME that a target matches. A
// target that matches none is a usage error with the nearest name.
void register_adapters(const AdapterConfig&, ModelIds&, ParameterRegistry&);

// Adds every adapter to the weight that it belongs to: the model computes the same without them. B becomes
// zero.
void merge_adapters(const ModelIds&, ParameterRegistry&);

// The linear layers that adapters may be put on, by name without ".weight".
std::vector<std::string> adapter_targets(const ModelIds&, const ParameterRegistry&);

}  // namespace longsight::model
