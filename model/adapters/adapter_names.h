// How tensors are called in PEFT's adapter files.
#pragma once

#include <string>
#include <string_view>

#include "model/vlm.h"

namespace longsight::model {

inline constexpr const char* kAdapterWeights = "adapter_model.safetensors";
inline constexpr const char* kAdapterConfig = "adapter_config.json";
inline constexpr std::string_view kAdapterPrefix = "base_model.model.", kAdapterA = ".lora_A.weight",
                                  kAdapterB = ".lora_B.weight", kEmbeddingA = ".lora_embedding_A",
                                  kEmbeddingB = ".lora_embedding_B";
// Inside a layer that has an adapter, in front of the layer's own tensors.
inline constexpr std::string_view kAdaptedLayer = ".base_layer.";

// A tensor of a file.
struct AdapterTensor {
  enum class Kind { a, b, embedding_a, embedding_b, whole } kind = Kind::whole;
  std::string module;  // of a and b: the layer's name in the module tree of transformers
  std::string name;    // canonical name: of a and b that of the layer, otherwise that of the weight
};

// bad_data for a name that PEFT gives no tensor of LoRA; `path` names the file.
AdapterTensor parse_adapter_tensor(const std::string& name_in_file, const ModelConfig&,
                                   const std::string& path);

// The name of a parameter in the module tree of transformers.
std::string module_tree_name(const ModelConfig&, const std::string& parameter);

}  // namespace longsight::model
