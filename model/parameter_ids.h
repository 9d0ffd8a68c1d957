// Where each weight of a model lives in the registry, and its registration under canonical Hugging Face
// names.
#pragma once

#include <vector>

#include "model/config.h"
#include "runtime/tensor/parameters.h"

namespace longsight::model {

constexpr ParameterId kNone = -1;

struct NormIds {
  ParameterId gain = kNone;
  ParameterId bias = kNone;  // RMS norm has none
};

// One matrix, or several neighbours in the registry used as one (q, k, v; gate, up): rows joined, one
// product.
struct LinearIds {
  ParameterId weight = kNone;
  ParameterId bias = kNone;
  i64 parts = 1;
};

struct BlockIds {
  NormIds attention_norm;
  LinearIds qkv;
  LinearIds out;
  NormIds mlp_norm;
  LinearIds up;  // fc1, or gate and up joined
  LinearIds down;
};

struct VisionIds {
  ParameterId class_embedding = kNone;
  ParameterId patch = kNone;
  ParameterId position = kNone;
  NormIds pre_norm;
  std::vector<BlockIds> blocks;  // those that run
};

struct ConnectorIds {
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

}  // namespace longsight::model
