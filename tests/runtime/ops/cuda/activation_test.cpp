#include "runtime/ops/activation.h"

#include "tests/runtime/ops/cuda/twin.h"

using namespace longsight;
using namespace longsight::cuda_test;
using ops::Activation;

TEST_CASE_TEMPLATE("activations on CUDA are those of the host, with and without gaps between rows", T, float,
                   double, bf16) {
  constexpr DType kType = dtype_of<T>();
  for (const Activation kind : {Activation::none, Activation::gelu, Activation::gelu_tanh,
                                Activation::quick_gelu, Activation::silu, Activation::relu}) {
    for (const i64 width : {i64{1}, i64{33}, i64{64}}) {
      for (const i64 gap : {0, 3}) {
        CAPTURE(static_cast<int>(kind));
        CAPTURE(width);
        CAPTURE(gap);
        Twin x(kType, {5, width}, "x", gap, 3), y(kType, {5, width}, "y", gap),
            dy(kType, {5, width}, "dy", gap);
        same_on_cuda("activation", {&y}, 8,
                     [&](const Side& s) { ops::activation(s.rows(y), s.rows(x), kind, s.stream); });
        same_on_cuda("activation_backward", {&dy}, 8, [&](const Side& s) {
          ops::activation_backward(s.rows(dy), s.rows(dy), s.rows(x), kind, s.stream);
        });
        Twin h(kType, {5, width}, "h", gap), dh(kType, {5, width}, "dh", gap);
        Twin gate_up(kType, {5, 2 * width}, "gate_up", gap, 3);
        same_on_cuda("gated", {&h}, 16,
                     [&](const Side& s) { ops::gated(s.rows(h), s.rows(gate_up), kind, s.stream); });
        same_on_cuda("gated_backward", {&gate_up, &h}, 16, [&](const Side& s) {
          ops::gated_backward(s.rows(gate_up), s.rows(h), s.rows(dh), s.rows(gate_up), kind, s.stream);
        });
      }
    }
  }
}
