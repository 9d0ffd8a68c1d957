#include "runtime/ops/activation.h"

#include "runtime/ops/cuda/activation.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/activation.h"

namespace longsight::ops {
namespace {

void check_like(const char* op, Matrix a, Matrix b) {
  check(a.rows == b.rows && a.cols == b.cols && a.dtype == b.dtype, "{}: {} [{}, {}] and {} [{}, {}]", op,
        name_of(a.dtype), a.rows, a.cols, name_of(b.dtype), b.rows, b.cols);
}

}  // namespace

Activation activation_from_hf(std::string_view name, std::string_view where) {
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  if (name == "quick_gelu") return Activation::quick_gelu;
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "relu") return Activation::relu;
  fail(ExitCode::bad_data,
       "{}: no activation function {} (there are gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, swish, "
       "relu)",
       where, name);
}

void activation(Matrix y, Matrix x, Activation kind, Stream stream) {
  check_like("activation", y, x);
  execute(
      stream, {"activation", 0, bytes_of({y, x})}, [=] { host::activation(y, x, kind); },
      [&] { cuda::activation(y, x, kind, stream); });
}

void activation_backward(Matrix dx, Matrix dy, Matrix x, Activation kind, Stream stream) {
  check_like("activation backward", dx, x);
  check_like("activation backward", dy, x);
  execute(
      stream, {"activation_backward", 0, bytes_of({dx, dy, x})},
      [=] { host::activation_backward(dx, dy, x, kind); },
      [&] { cuda::activation_backward(dx, dy, x, kind, stream); });
}

void gated(Matrix h, Matrix gate_up, Activation kind, Stream stream) {
  check(gate_up.rows == h.rows && gate_up.cols == 2 * h.cols && gate_up.dtype == h.dtype,
        "gated: {} [{}, {}] from {} [{}, {}]", name_of(h.dtype), h.rows, h.cols, name_of(gate_up.dtype),
        gate_up.rows, gate_up.cols);
  execute(
      stream, {"gated", 0, bytes_of({h, gate_up})}, [=] { host::gated(h, gate_up, kind); },
      [&] { cuda::gated(h, gate_up, kind, stream); });
}

void gated_backward(Matrix d_gate_up, Matrix h, Matrix dh, Matrix gate_up, Activation kind, Stream stream) {
  check_like("gated backward", d_gate_up, gate_up);
  check(gate_up.rows == dh.rows && gate_up.cols == 2 * dh.cols && gate_up.dtype == dh.dtype,
        "gated backward: {} [{}, {}] for {} [{}, {}]", name_of(dh.dtype), dh.rows, dh.cols,
        name_of(gate_up.dtype), gate_up.rows, gate_up.cols);
  if (h) check_like("gated backward", h, dh);
  execute(
      stream, {"gated_backward", 0, bytes_of({d_gate_up, h, dh, gate_up})},
      [=] { host::gated_backward(d_gate_up, h, dh, gate_up, kind); },
      [&] { cuda::gated_backward(d_gate_up, h, dh, gate_up, kind, stream); });
}

}  // namespace longsight::ops
