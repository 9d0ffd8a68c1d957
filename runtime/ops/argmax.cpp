#include "runtime/ops/argmax.h"

#include "runtime/ops/cuda/argmax.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/argmax.h"

namespace longsight::ops {

void argmax(Tensor index, Matrix x, Stream stream) {
  check(index.dtype() == DType::I64 && index.elements() == x.rows && x.cols > 0, "argmax: {} {} for [{}, {}]",
        name_of(index.dtype()), index.shape(), x.rows, x.cols);
  execute(
      stream, {"argmax", 0, bytes_of({index, x})}, [=] { host::argmax(index, x); },
      [&] { cuda::argmax(index, x, stream); });
}

}  // namespace longsight::ops
