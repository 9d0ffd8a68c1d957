// LoRA (Hu et al. 2021): to a linear layer W [N, K] comes scale * B A with A [rank, K] and B [N, rank];
// the scale is alpha / rank.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/parameter_ids.h"
#include "parallel/groups/process_group.h"

namespace longsight::model {

struct AdapterConfig {
  i64 rank = 0;  // 0: no adapters
  double alpha = 0;
  std::vector<std::string> targets;  // globs over names of linear layers: "language_model.*.q_proj"
  bool random_b = false;  // B drawn at random instead of zero, so that an audit sees every gradient
  bool rslora = false;    // scale alpha / sqrt(rank) (Kalajdzievski 2023)
  std::map<std::string, i64> ranks = {};      // of layers that a glob matches, in the place of `rank`
  std::map<std::string, double> alphas = {};  // the same
  std::vector<std::string> saved = {};  // parameters that an adapter folder holds whole, in the base's place
  std::string file = {};                // that names the targets; empty: a configuration does
  bool own_head = false;                // a head that is tied to the embedding becomes one of its own

  bool any() const { return rank > 0; }
  // Of a layer by name. usage where two globs say different values.
  i64 rank_of(const std::string& layer) const;
  double alpha_of(const std::string& layer) const;
  double scale_of(const std::string& layer) const;
};

// Registers NAME.lora_A.weight and NAME.lora_B.weight for each linear layer NAME that a target matches. A
// target that matches none is a usage error with the nearest name; of a file, bad_data.
void register_adapters(const AdapterConfig&, ModelIds&, ParameterRegistry&);

// Adds every adapter to the weight that it belongs to: the model computes the same without them. B becomes
// zero. Collective over `world`, where parameters are dealt over it. The stream is one of where the
// parameters lie.
void merge_adapters(const ModelIds&, ParameterRegistry&, Stream, parallel::ProcessGroup* world = nullptr);

// The linear layers that adapters may be put on, by name without ".weight".
std::vector<std::string> adapter_targets(const ModelIds&, const ParameterRegistry&);

}  // namespace longsight::model
