#include "runtime/ops/host/combine.h"

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/ops/formulas/combine.h"

namespace longsight::ops::host {
namespace {

// Of plain pointers, and not inlined into the parallel region: there GCC gathers the terms one by one.
template <class T>
[[gnu::noinline]] void add_into(Statistics<T>* total, const T* x, i64 count) {
#pragma omp simd
  for (i64 i = 0; i < count; ++i) total[i] += x[i];
}

template <class T>
[[gnu::noinline]] void larger_into(Statistics<T>* total, const T* x, i64 count) {
  for (i64 i = 0; i < count; ++i) total[i] = formulas::larger<Statistics<T>>(total[i], x[i]);
}

template <class T>
void combine_as(Tensor y, std::span<const Tensor> terms, Combination combination) {
  constexpr i64 kBlock = 2048;  // stays in the first-level cache while the terms pass by
  const i64 count = y.elements(), blocks = ceil_div(count, kBlock);
  void (*const into)(Statistics<T>*, const T*, i64) =
      combination == Combination::sum ? add_into<T> : larger_into<T>;
  T* const out = y.host<T>();
  std::vector<const T*> in;
  for (const Tensor& term : terms) in.push_back(term.host<T>());
#pragma omp parallel for schedule(static) if (blocks > 16)
  for (i64 block = 0; block < blocks; ++block) {
    const i64 first = block * kBlock, here = std::min(kBlock, count - first);
    std::array<Statistics<T>, kBlock> total;
    std::copy_n(in[0] + first, here, total.begin());
    for (std::size_t r = 1; r < in.size(); ++r) into(total.data(), in[r] + first, here);
    std::copy_n(total.begin(), here, out + first);
  }
}

}  // namespace

void combine(Tensor y, std::span<const Tensor> terms, Combination combination) {
  switch (y.dtype()) {
    case DType::F32:
      return combine_as<float>(y, terms, combination);
    case DType::F64:
      return combine_as<double>(y, terms, combination);
    case DType::BF16:
      return combine_as<bf16>(y, terms, combination);
    case DType::I32:
      return combine_as<std::int32_t>(y, terms, combination);
    default:
      return combine_as<i64>(y, terms, combination);
  }
}

}  // namespace longsight::ops::host
