#include "runtime/ops/combine.h"

#include "runtime/ops/cuda/combine.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/combine.h"

namespace longsight::ops {

bool combines(DType dtype) {
  return dtype == DType::F32 || dtype == DType::F64 || dtype == DType::BF16 || dtype == DType::I32 ||
         dtype == DType::I64;
}

void combine(Tensor y, std::span<const Tensor> terms, Combination combination, Stream stream) {
  check(!terms.empty() && combines(y.dtype()), "combine: {} terms of {}", terms.size(), name_of(y.dtype()));
  double bytes = bytes_of({y});
  for (const Tensor& term : terms) {
    check(term.dtype() == y.dtype() && term.elements() == y.elements(), "combine: {} {} into {} {}",
          name_of(term.dtype()), term.shape(), name_of(y.dtype()), y.shape());
    bytes += bytes_of({term});
  }
  const KeptList<Tensor> kept(terms, stream);
  execute(
      stream, {"combine", 0, bytes}, [=] { host::combine(y, kept.list(), combination); },
      [&] { cuda::combine(y, terms, combination, stream); });
}

}  // namespace longsight::ops
