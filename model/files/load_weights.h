// Values of parameters from the tensors of one or several checkpoints.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/vlm.h"
#include "runtime/io/safetensors.h"

namespace longsight::model {

// A tensor of a file; the file must outlive it.
struct TensorSource {
  const io::SafetensorsSet* file = nullptr;
  const io::TensorEntry* entry = nullptr;
};

// By the names of parameters.
class TensorSources {
 public:
  // The parameter's name of a tensor of the file; empty: the tensor belongs to something else.
  using NameOf = std::function<std::string(const std::string& name_in_file)>;

  // Two tensors under one name are bad_data, naming both. Buffers of old files are passed over.
  void add(const io::SafetensorsSet&, const NameOf&);

  const TensorSource* find(const std::string& name) const;
  void erase(const std::string& name) { sources_.erase(name); }
  // `name` gets the values of `other`, where that has some.
  void alias(const std::string& name, const std::string& other) {
    if (const TensorSource* source = find(other)) sources_.emplace(name, *source);
  }
  const std::map<std::string, TensorSource>& all() const { return sources_; }

 private:
  std::map<std::string, TensorSource> sources_;
};

// What need not come from a file.
struct WeightRules {
  // Globs of names: parameters that no tensor has are initialised and listed in the log. One that matches no
  // parameter of the model is a usage error.
  std::vector<std::string> allow_missing = {};
  u64 seed = 1;  // of what no file holds; adapters never are in it
  // Names of matrices that may have more rows than their tensors: the rows behind are the mean of the others.
  std::vector<std::string> growing = {};
};

// Throws bad_data for tensors that no parameter has and parameters that no tensor has or that differ in shape
// or have no floating-point type: by prefix, with an example of each. `from` names the checkpoint in it.
void check_weights(const Vlm&, const TensorSources&, const WeightRules&, const std::string& from);

// Rows of `x` in another order: row i of the result is row order[i] of x. An empty order leaves it as it is.
void permute_rows(Tensor x, const std::vector<i64>& order);

// After check_weights, into parameters that are allocated.
void load_weights(Vlm&, const TensorSources&, const WeightRules&);

}  // namespace longsight::model
