#include "model/families/vision_towers.h"

#include <algorithm>

#include "model/families/tower_rows.h"

namespace longsight::model {
namespace {

void check_tower(ConfigReader& r, const VisionConfig& v) {
  require(v.width % v.heads == 0, ExitCode::bad_data,
          "{}: hidden_size {} is not a multiple of num_attention_heads {}", r.where(), v.width, v.heads);
  require(v.image_size == 0 || v.image_size >= v.patch, ExitCode::bad_data,
          "{}: image_size {} is smaller than patch_size {}", r.where(), v.image_size, v.patch);
}

VisionConfig read_by_row(ConfigReader& r, const TowerRow& row, const std::string& root,
                         std::vector<std::string>& warnings) {
  r.assume(row.defaults);
  VisionConfig v = row.fixed;
  v.names.root = root;
  v.width = r.positive(row.width);
  if (!row.intermediate.empty()) v.intermediate = r.positive(row.intermediate);
  v.layers = r.positive(row.layers);
  v.heads = r.positive(row.heads);
  v.patch = r.square("patch_size");
  if (row.tiles) v.image_size = r.square("image_size");
  r.refuse_unless(row.channels, 3, "pictures have three channels");
  check_tower(r, v);
  v.initializer_range = r.number("initializer_range", 0.02);
  v.activation = ops::activation_from_hf(r.text("hidden_act"), r.where() + ": hidden_act");
  if (!row.eps.empty()) v.eps = r.number(row.eps);
  if (!row.qkv_bias.empty()) v.qkv_bias = r.boolean(row.qkv_bias);
  if (!row.qk_norm.empty()) v.qk_norm = r.boolean(row.qk_norm);
  if (!row.layer_scale.empty()) v.layer_scale_init = r.number(row.layer_scale);
  if (!row.norm_type.empty()) {
    const std::string norm = r.text(row.norm_type);
    require(norm == "layer_norm" || norm == "rms_norm", ExitCode::bad_data,
            "{}: {} \"{}\" is neither layer_norm nor rms_norm", r.where(), row.norm_type, norm);
    v.rms = norm == "rms_norm";
  }
  if (row.read_more != nullptr) row.read_more(r, v);
  for (const std::string& rate : row.dropout) r.note_dropout(rate, warnings);
  for (const std::string& key : row.ignored) r.ignore({key.c_str()});
  r.ignore({"torch_dtype", "dtype", "architectures", "transformers_version", "_name_or_path", "model_type"});
  return v;
}

}  // namespace

VisionConfig read_tower(ConfigReader& r, const std::vector<std::string>& types, const std::string& root,
                        std::vector<std::string>& warnings) {
  const std::string type = r.text("model_type", types.front());
  std::string known;
  for (const std::string& candidate : types) {
    const TowerRow* row = find_tower_row(candidate);
    check(row != nullptr, "no vision tower {}", candidate);
    if (std::find(row->types.begin(), row->types.end(), type) != row->types.end())
      return read_by_row(r, *row, root, warnings);
    known += (known.empty() ? "" : ", ") + candidate;
  }
  fail(ExitCode::bad_data, "{}: model_type \"{}\" is not supported (supported: {})", r.where(), type, known);
}

i64 hidden_state_index(i64 index, i64 layers, const std::string& where) {
  const i64 state = index < 0 ? layers + 1 + index : index;
  require(state >= 0 && state <= layers, ExitCode::bad_data, "{}: {} of a tower with {} layers", where, index,
          layers);
  return state;
}

}  // namespace longsight::model
