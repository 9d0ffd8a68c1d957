// Where each weight of a model lives in the registry, and its registration under canonical Hugging Face
// names.
#pragma once

#include <vector>

#include "model/config.h"
#include "runtime/tensor/parameters.h"

namespace longsight::model {

constexpr ParameterId kNone = -1;

// Layer norm has a bias, RMS norm has none.
struct NormIds {
  ParameterId gain = kNone;  // kNone: no norm here
  ParameterId bias = kNone;
  bool plus_one = false;  // multiplies by 1 + gain

  bool present() const { return gain != kNone; }
  double offset() const { return plus_one ? 1 : 0; }
};

// The low-rank addition to a linear layer: see adapters.h.
struct AdapterIds {
  ParameterId a = kNone;  // [rank, inputs]
  ParameterId b = kNone;  // [outputs, rank]
  double scale = 0;

  bool present() const { return a != kNone; }
};

// One matrix, or several neighbours in the registry used as one (q, k, v; gate, up): rows joined, one
// product.
struct LinearIds {
  ParameterId weight = kNone;
  ParameterId bias = kNone;
  i64 parts = 1;
  ParameterId scale = kNone;              // layer scale [rows of the weight]
  std::vector<AdapterIds> adapters = {};  // one per part, some of them absent; or none at all

  bool present() const { return weight != kNone; }
};

struct BlockIds {
  NormIds attention_norm;
  LinearIds qkv;
  NormIds q_norm, k_norm;
  LinearIds out;
  NormIds mlp_norm;
  LinearIds up;  // fc1, or gate and up joined
  LinearIds down;
};

struct VisionIds {
  ParameterId class_row = kNone;
  LinearIds patch;
  ParameterId position = kNone;
  NormIds pre_norm;
  std::vector<BlockIds> blocks;  // those that run
};

struct ConnectorIds {
  NormIds row_norm;  // may be the tower's post norm
  NormIds joined_norm;
  LinearIds first;
  LinearIds second;
};

struct LanguageIds {
  ParameterId embedding = kNone;
  std::vector<BlockIds> blocks;
  NormIds final_norm;
  ParameterId head = kNone;  // the embedding where they are tied
};

struct ModelIds {
  VisionIds vision;
  ConnectorIds connector;
  LanguageIds language;
};

// Registers every tensor of the model, also those that never run (they are carried from file to file).
ModelIds register_parameters(const ModelConfig&, ParameterRegistry&);

// Rows of parameters that lie in memory in another order than in the file: row i here is row order[i] there.
// Empty for all others.
std::vector<i64> file_row_order(const ModelConfig&, const Parameter&);

}  // namespace longsight::model
