#include "runtime/ops/adamw.h"

#include "runtime/ops/cuda/adamw.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/adamw.h"

namespace longsight::ops {
namespace {

void check_number(const char* op, const char* what, Tensor x) {
  check(x.dtype() == DType::F64 && x.elements() == 1, "{}: {} is {} {}, not one of f64", op, what,
        name_of(x.dtype()), x.shape());
}

}  // namespace

void adamw_step(Tensor value, Tensor gradient, Tensor first_moment, Tensor second_moment, Tensor scale,
                const AdamWOptions& options, Stream stream, Tensor copy) {
  const i64 n = value.elements();
  check(value.dtype() == statistics_of(value.dtype()),
        "adamw_step: values in {}: the step would be rounded away", name_of(value.dtype()));
  for (const Tensor* x : {&gradient, &first_moment, &second_moment}) {
    check(x->elements() == n && x->dtype() == value.dtype(), "adamw_step: {} {} beside {} {}",
          name_of(x->dtype()), x->shape(), name_of(value.dtype()), value.shape());
  }
  if (copy) {
    check(copy.elements() == n && copy.dtype() == DType::BF16, "adamw_step: a copy of {} {} beside {} {}",
          name_of(copy.dtype()), copy.shape(), name_of(value.dtype()), value.shape());
  }
  check_number("adamw_step", "the scale", scale);
  check(options.step >= 1, "adamw_step: step {}", options.step);
  execute(
      stream,
      {"adamw_step", 0,
       bytes_of({value, value, gradient, gradient, first_moment, first_moment, second_moment, second_moment,
                 copy})},
      [=] { host::adamw_step(value, gradient, first_moment, second_moment, scale, options, copy); },
      [&] { cuda::adamw_step(value, gradient, first_moment, second_moment, scale, options, copy, stream); });
}

void sum_of_squares(Tensor sum, Tensor x, Stream stream) {
  check_number("sum_of_squares", "the sum", sum);
  execute(
      stream, {"sum_of_squares", 0, bytes_of({x})}, [=] { host::sum_of_squares(sum, x); },
      [&] { cuda::sum_of_squares(sum, x, stream); });
}

void clip_scale(Tensor scale, Tensor squares, Tensor loss, double clip, Stream stream) {
  check_number("clip_scale", "the scale", scale);
  check_number("clip_scale", "the sum of squares", squares);
  check_number("clip_scale", "the loss", loss);
  execute(
      stream, {"clip_scale", 0, bytes_of({scale, squares, loss})},
      [=] { host::clip_scale(scale, squares, loss, clip); },
      [&] { cuda::clip_scale(scale, squares, loss, clip, stream); });
}

}  // namespace longsight::ops
