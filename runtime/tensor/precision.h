// In which types a model is held and computed (Micikevicius et al. 2018). f32 and f64 are of one type
// everywhere. With bf16 the layers compute with a copy of the weights that is rounded to bf16, and their
// activations are bf16; what is added up over many elements or many steps stays f32.
#pragma once

#include "runtime/tensor/dtype.h"

namespace longsight {

struct Precision {
  DType activations = DType::F32;  // and the weights that layers compute with
  DType statistics = DType::F32;   // of norms and attention, logits, sums of gradients on the way
  DType gradients = DType::F32;    // of parameters
  DType master = DType::F32;       // values as they are optimised and written, and their moments

  Precision() = default;
  Precision(DType of_activations)  // NOLINT: implicit, what is computed in says the rest
      : activations(of_activations),
        statistics(statistics_of(of_activations)),
        gradients(statistics),
        master(statistics) {}

  bool mixed() const { return activations != master; }  // weights are a copy of the values
  const char* name() const { return name_of(activations); }
  friend bool operator==(const Precision&, const Precision&) = default;
};

}  // namespace longsight
