// adapter_config.json of PEFT: what it says about the tensors beside it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::model {

struct AdapterSettings {
  std::string path;  // of the file, for messages
  i64 rank = 0;
  double alpha = 0;
  bool rslora = false;  // scale alpha / sqrt(rank) instead of alpha / rank
  // Regular expressions over the ends of module names, and what they set; the first that matches counts.
  std::vector<std::pair<std::string, double>> ranks, alphas;
  std::vector<std::string> modules_to_save;  // ends of the names of modules that have weights of their own
  // target_modules and exclude_modules: one regular expression of whole module names, or ends of them; of the
  // first nothing means all. PEFT makes adapters of no other layers, whatever tensors are in the file.
  struct Modules {
    std::string pattern = {};
    std::vector<std::string> ends = {};
    bool hold(const std::string& module, const std::string& where) const;
  };
  Modules targets, excluded;
  bool all_targets = true;
  // layers_to_transform: only blocks of these numbers, where there are any, behind a name that one of the
  // regular expressions matches (layers_pattern; none: behind any name).
  std::vector<i64> layers = {};
  std::vector<std::string> layer_lists = {};
  bool keeps_tie = false;  // a head that is tied to the embedding stays so where one of them is such a module

  // Of a layer by its module name in transformers: "model.layers.0.self_attn.q_proj".
  i64 rank_of(const std::string& module) const;
  double alpha_of(const std::string& module) const;
  bool is_target(const std::string& module) const;
  bool is_in_layers(const std::string& module) const;
  // Whether a tensor ("lm_head.weight") belongs to such a module.
  bool is_saved(const std::string& tensor) const;
};

// bad_data for what makes it another computation than LoRA with scales of its own, naming the key (DoRA,
// trained offsets of B, replicated layers, a base that is changed at the beginning, ..), and for keys that
// are not known and not empty.
AdapterSettings read_adapter_settings(const std::string& path);

}  // namespace longsight::model
