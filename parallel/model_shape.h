// What the planner needs to know of a model: sizes and what is trained. No weights, no names but those it
// prints.
#pragma once

#include <string>
#include <vector>

#include "runtime/tensor/dtype.h"

namespace longsight::parallel {

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

// Rows of an MLP that are worked on at a time: the widest activations exist for this many rows only.
inline constexpr i64 kMlpRows = 2048;
// Rows whose logits exist at a time: about 4 M elements, whatever the vocabulary.
i64 loss_chunk_rows(i64 vocab);

// What a linear layer takes besides its operands: copies of weights with their layer scale, middles of
// adapters.
struct LinearExtras {
  struct Adapter {
    i64 rank = 0;
    i64 outputs = 0;  // of its part of the layer
    bool a_trained = false, b_trained = false;
    bool operator==(const Adapter&) const = default;
  };
  i64 scaled_weight = 0, scaled_bias = 0;  // elements; 0: no layer scale
  bool base_trained = false;               // weights, bias or scale
  std::vector<Adapter> adapters = {};
  bool operator==(const LinearExtras&) const = default;
};
struct BlockExtras {
  LinearExtras qkv, out, up, down;
  bool operator==(const BlockExtras&) const = default;
};

// The equal blocks of a tower: x += attention(norm(x)); x += mlp(norm(x)).
struct TowerShape {
  std::string name = {};    // "vision", "language": blocks are called NAME.0, NAME.1, ... in plans and rules
  std::string module = {};  // where the blocks lie in a checkpoint; may be empty
  i64 blocks = 0;           // that run
  i64 width = 0;
  i64 heads = 0;
  i64 kv_heads = 0;
  i64 head_width = 0;
  i64 intermediate = 0;
  bool gated = false;   // MLP of the form act(gate) * up
  bool causal = false;  // attention sees earlier rows of the same sequence only
  // Window attention: a causal block sees the last `window` rows up to itself, another one the sequences that
  // are the windows of the stream. Of all blocks or, where it is not empty, of those set in `windowed`.
  i64 window = 0;
  std::vector<bool> windowed = {};
  i64 norm_statistics = 1;  // numbers kept per row and norm: 1 RMS norm, 2 layer norm
  i64 q_norm_statistics =
      0;  // and per row of the norms of q and of k, whose inputs are kept: 1, or one a head;
  i64 k_norm_statistics = 0;  // 0: there are none
  // Of each block: which of these; empty: no block has any.
  std::vector<i64> extras_of = {};
  std::vector<BlockExtras> extras = {};
  i64 backward_blocks =
      0;  // how many, from the last, run backward: those above the lowest thing that is trained
  i64 trained_blocks = 0;  // and how many if nothing below them is trained
  bool weight_gradients =
      true;  // whether blocks have trained weights; if not, backward computes input gradients only

  bool is_windowed(i64 block) const {
    return window > 0 && (windowed.empty() || windowed[static_cast<std::size_t>(block)]);
  }
  i64 projection() const { return (heads + 2 * kv_heads) * head_width; }  // columns of q, k, v
  i64 mlp_input() const { return gated ? 2 * intermediate : intermediate; }
};

// From rows of the vision tower to rows of the language model: norm of the rows, rows of a merge block
// joined, norm of that, one or two linear layers.
struct ConnectorShape {
  i64 input = 0;                   // columns of the first linear layer
  i64 middle = 0;                  // columns between the two; 0: there is one
  i64 row_norm_statistics = 0;     // numbers kept per row that goes into the join; 0: no norm
  i64 joined_norm_statistics = 0;  // and per joined row
  bool norms_trained = false;
  LinearExtras first = {}, second = {};
};

struct PartParameters {
  i64 values = 0;   // elements held, those that never run included
  i64 trained = 0;  // elements with a gradient and optimizer state
};

struct ModelShape {
  TowerShape vision;
  TowerShape language;

  i64 patch_inputs = 0;          // values of a patch
  bool vision_pre_norm = true;   // a norm of the embedding
  bool vision_rope = false;      // rotary angles of every patch
  bool vision_positions = true;  // a table of them
  bool patch_embedding_trained = true;
  i64 class_rows = 0;         // rows of an image before its patches
  i64 merge = 1;              // patch rows that one connector row merges
  i64 first_feature_row = 0;  // of a tile: the row that its first visual token is made of
  i64 patches_per_tile = 0;   // of a typical tile, where samples do not say it
  ConnectorShape connector;
  i64 vocab = 0;

  PartParameters vision_parameters, connector_parameters, language_parameters;
  bool vision_embedding_trained = false;  // patches, positions
  bool token_embedding_trained = false;
  bool head_trained = false;

  DType dtype = DType::F32;

  i64 rows_of_tile(i64 patches) const { return class_rows + patches; }  // of the vision stream
  i64 features_of_tile(i64 patches) const { return (rows_of_tile(patches) - first_feature_row) / merge; }

  i64 element_bytes() const { return size_of(dtype); }
  bool vision_trained() const { return vision_parameters.trained > 0; }
  bool features_need_gradient() const { return vision_trained() || connector_parameters.trained > 0; }
  // Of a pass with images, or without.
  i64 language_backward_blocks(bool images) const {
    const bool below = images || token_embedding_trained;
    return below ? language.backward_blocks : language.trained_blocks;
  }
  i64 parameters() const {
    return vision_parameters.values + connector_parameters.values + language_parameters.values;
  }
  i64 trained() const {
    return vision_parameters.trained + connector_parameters.trained + language_parameters.trained;
  }
};

}  // namespace longsight::parallel
