// Element-wise activation functions of the Hugging Face towers.
//   gelu: x Phi(x) with erf;  gelu_tanh: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)));
//   quick_gelu: x sigmoid(1.702 x);  silu: x sigmoid(x);  relu: max(x, 0).
#pragma once

#include <string_view>

#include "runtime/tensor/matrix.h"

namespace longsight::ops {

enum class Activation { none, gelu, gelu_tanh, quick_gelu, silu, relu };

// "gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "silu", "swish", "relu"; anything else throws usage
// naming `where`.
Activation activation_from_hf(std::string_view name, std::string_view where);

void activation(Matrix y, Matrix x, Activation, Stream);                       // y = f(x); y may be x
void activation_backward(Matrix dx, Matrix dy, Matrix x, Activation, Stream);  // dx = dy f'(x); dx may be dy

// h [T, F] = act(gate) * up, with gate_up [T, 2F] holding gate in the first F columns and up in the last F.
void gated(Matrix h, Matrix gate_up, Activation, Stream);
// d_gate_up is overwritten and may be gate_up itself. h (optional) receives the forward result again, in the
// same pass.
void gated_backward(Matrix d_gate_up, Matrix h, Matrix dh, Matrix gate_up, Activation, Stream);

}  // namespace longsight::ops
