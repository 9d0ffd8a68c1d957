#include "runtime/ops/hash.h"

#include "runtime/ops/cuda/hash.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/hash.h"

namespace longsight::ops {

void hash(Tensor out, Tensor x, Stream stream) {
  check(out.dtype() == DType::I64 && out.elements() == 2, "hash: {} {} for the two halves",
        name_of(out.dtype()), out.shape());
  execute(
      stream, {"hash", 0, bytes_of({x})}, [=] { host::hash(out, x); }, [&] { cuda::hash(out, x, stream); });
}

}  // namespace longsight::ops
