#include "runtime/ops/adamw.h"

#include "runtime/ops/execute.h"
#include "runtime/ops/host/adamw.h"

namespace longsight::ops {

void adamw_step(Tensor value, Tensor gradient, Tensor first_moment, Tensor second_moment,
                const AdamWOptions& options, Stream stream) {
  const i64 n = value.elements();
  for (const Tensor* x : {&gradient, &first_moment, &second_moment}) {
    check(x->elements() == n && x->dtype() == value.dtype(), "adamw_step: {} {} beside {} {}",
          name_of(x->dtype()), x->shape().text(), name_of(value.dtype()), value.shape().text());
  }
  check(options.step >= 1, "adamw_step: step {}", options.step);
  execute(stream,
          {"adamw_step", 0,
           bytes_of(
               {value, value, gradient, gradient, first_moment, first_moment, second_moment, second_moment})},
          [&] { host::adamw_step(value, gradient, first_moment, second_moment, options); });
}

double sum_of_squares(Tensor x, Stream stream) {
  double sum = 0;
  execute(stream, {"sum_of_squares", 0, bytes_of({x})}, [&] { sum = host::sum_of_squares(x); });
  return sum;
}

}  // namespace longsight::ops
