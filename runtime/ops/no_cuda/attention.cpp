#include "runtime/ops/cuda/attention.h"

#include "runtime/ops/no_cuda/not_built.h"

namespace longsight::ops::cuda {

void attention(Heads, Matrix, Heads, Heads, Heads, const AttentionProblem&, Arena&, Stream) {
  not_built("attention");
}

void attention_delta(Matrix, Heads, Heads, Stream) {
  not_built("attention_delta");
}

void attention_backward(Heads, Heads, Heads, Heads, Matrix, Matrix, Heads, Heads, Heads,
                        const AttentionProblem&, Arena&, Stream) {
  not_built("attention_backward");
}

}  // namespace longsight::ops::cuda
