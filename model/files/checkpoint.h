// A model as a Hugging Face folder: config.json, safetensors, and the tokenizer and processor files beside
// them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/files/load_weights.h"

namespace longsight::model {

// Reads FOLDER/config.json, or the file itself if `path` is one. missing_input, bad_data.
ModelConfig read_config(const std::string& path);

// The model of a folder: its parameters allocated in `dtype` and loaded. `trainable` (may be empty) decides
// before that what is trained. Every tensor of the checkpoint and every parameter of the model must find its
// counterpart, with its shape, but for what the rules allow; what does not is listed by prefix in one error.
// Names of all generations of files are understood.
struct LoadOptions {
  DType dtype = DType::F32;  // what is computed in, the rest follows from it (runtime/tensor/precision.h)
  bool with_gradients = false;
  std::function<bool(const Parameter&)> trainable = {};  // empty: all
  WeightRules rules = {};
  AdapterConfig adapters = {};      // put on the model; random, or
  std::string adapter_folder = {};  // with the values of this PEFT folder
  Sharding sharding =
      {};  // with adapters of a folder every rank holds all for a while: they are compared with it
};
std::unique_ptr<Vlm> load_model(const std::string& folder, const LoadOptions&);

// The same from tensors of any files; `from` names them in errors.
std::unique_ptr<Vlm> load_model(ModelConfig, const TensorSources&, const LoadOptions&,
                                const std::string& from);
// Where the configuration ties the head to the embedding and there are tensors of both: equal ones are one,
// different ones are kept apart, with a warning.
void settle_tie(ModelConfig&, TensorSources&, const std::string& from);
// Gives the head weights of its own, in what the model computes and in the config.json that is written.
void untie(ModelConfig&);

// Tensor names and form of config.json: those of the original files, which all readers understand; or what
// transformers 5 writes for a newly built model. InternVLChatModel becomes InternVLForConditionalGeneration
// in the latter.
enum class HfNames { canonical, v5 };

struct ExportOptions {
  DType dtype = DType::F32;
  std::string companions_from = {};  // folder whose tokenizer, processor and chat files are copied byte for
                                     // byte; empty: none
  HfNames names = HfNames::canonical;
  i64 shard_bytes = 5'000'000'000;
};
// Writes a new folder, whole or not at all. An existing folder is an error (cannot_write).
void export_model(const Vlm&, const std::string& folder, const ExportOptions&);
// The two halves of it, into a folder that is there already: what lies beside the weights, and the weights.
void write_side_files(const Vlm&, const std::string& folder, const ExportOptions&);
// Returns the number of tensors. `values`: where parameters are dealt over ranks.
i64 write_weight_files(const Vlm&, const std::string& folder, const ExportOptions&, const ValueOf& values);
i64 write_weight_files(const Vlm&, const std::string& folder, const ExportOptions&);

// Row order[i] of the result is row i of x: from the order in memory to that of the file.
OwnedTensor rows_in_order(Tensor x, const std::vector<i64>& order);

// A value or gradient of this parameter with its rows as the file has them.
OwnedTensor in_file_order(const Vlm&, ParameterId, Tensor);

// The dtype that the source configuration names, f32 if none.
DType source_dtype(const ModelConfig&);

}  // namespace longsight::model
