// Finds the modules of a vision-language checkpoint in the names and shapes of its tensors: attention of the
// two towers, projection between them, MLPs, embeddings, head. Works on names alone, of any family; the
// configuration says how many heads there are, and must agree with what was found.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/config.h"
#include "runtime/io/safetensors.h"
#include "runtime/tensor/parameters.h"

namespace longsight::model {

enum class ModuleKind {
  vision_attention,
  language_attention,
  projection,  // connector: vision rows to the language model's width
  mlp,
  embedding,
  head,
  norm,
  other,
};
const char* name_of(ModuleKind kind);

struct NamedShape {
  std::string name;
  Shape shape;
};
std::vector<NamedShape> named_shapes(const io::SafetensorsSet&);
std::vector<NamedShape> named_shapes(const ParameterRegistry&);  // without adapters

// The modules of one kind and place, over the blocks of a tower.
struct DetectedModule {
  ModuleKind kind = ModuleKind::other;
  std::string name;  // "vision_tower.vision_model.encoder.layers.{0-22}.self_attn"
  i64 blocks = 0;    // 0: not part of numbered blocks
  i64 heads = 0;     // of attention; 0: the names do not say, and no configuration was given
  i64 kv_heads = 0;
  std::string weights;  // "q_proj k_proj v_proj out_proj"
  i64 elements = 0;     // of all its tensors
  friend bool operator==(const DetectedModule&, const DetectedModule&) = default;
};

// Vision first, then projection, language, the rest; norms and layer scales are part of `norm`, and what no
// pattern knows of `other`. A block without the attention that its neighbours have is bad_data.
std::vector<DetectedModule> detect_modules(std::span<const NamedShape> tensors);

// The same, with heads; block counts and the rows of q, k, v must be the configuration's: else bad_data
// naming the tensor. `where` begins errors: the checkpoint's path.
std::vector<DetectedModule> detect_modules(std::span<const NamedShape> tensors, const ModelConfig& config,
                                           const std::string& where);

// Aligned text, one line per module.
std::string module_table(std::span<const DetectedModule> modules);

}  // namespace longsight::model
