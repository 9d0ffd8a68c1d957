// The models that tests run over, of tests/families.json: one list for all tests and scripts.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::test {

// A folder of tests/goldens with what PyTorch computes for it.
struct GoldenModel {
  std::string name;
  std::vector<std::string> modules;      // all but norms, sorted: "mlp layers.{0-2}.mlp"; may be empty
  std::vector<std::string> generations;  // in which names of its tensors also occur: see names_test.cpp

  std::string case_folder() const { return "tests/goldens/" + name; }
  std::string folder() const { return case_folder() + "/model"; }
};
const std::vector<GoldenModel>& golden_models();

// A configuration under configs/models, and what the published model has.
struct PublishedModel {
  std::string name;
  i64 parameters;                     // as transformers counts them
  i64 vision_heads, heads, kv_heads;  // vision_heads 0: a language model alone
  i64 features;                       // visual tokens of a tile; 0: images of any size, or none
};
const std::vector<PublishedModel>& published_models();

// A small and awkward model: head counts that do not divide, odd widths, windows that cut images unevenly.
struct TinyFamily {
  std::string name;
  nlohmann::json config;
  std::string v5;  // tests/goldens/v5/<v5>.json: its form as transformers writes it; empty: none
};
// Those whose gradients on several ranks, adapters, decoding and exports are tested.
const std::vector<TinyFamily>& tiny_families();
const nlohmann::json& tiny_family(const std::string& name);

}  // namespace longsight::test
