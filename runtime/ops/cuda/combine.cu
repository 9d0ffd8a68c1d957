#include <vector>

#include "runtime/ops/cuda/combine.h"
#include "runtime/ops/cuda/views.h"
#include "runtime/ops/formulas/combine.h"

namespace longsight::ops::cuda {
namespace {

// Integers are their own statistics.
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

template <class T, int N>
struct CombineTerms {
  LANE_FN void operator()(i64, i64 first) const {
    Sum<T> total[N];
    Pack<T, N> pack = load<N>(terms[0] + first);
    for (int i = 0; i < N; ++i) total[i] = Sum<T>(pack[i]);
    for (int t = 1; t < count; ++t) {
      pack = load<N>(terms[t] + first);
      for (int i = 0; i < N; ++i) {
        const Sum<T> term = pack[i];
        total[i] = combination == Combination::sum ? total[i] + term : formulas::larger(total[i], term);
      }
    }
    for (int i = 0; i < N; ++i) pack[i] = total[i];
    store(y + first, pack);
  }
  T* y;
  const T* const* terms;
  int count;
  Combination combination;
};

template <class T>
void combine_as(const Tensor& y, std::span<const Tensor> terms, Combination combination, Stream stream) {
  const i64 n = y.elements();
  std::vector<const T*> addresses;
  // Packs need all of them to begin well: the one that begins worst stands for all.
  Matrix worst(y.reshape({1, n}));
  for (const Tensor& term : terms) {
    addresses.push_back(elements<const T>(term));
    const Matrix row(term.reshape({1, n}));
    if (!packs_begin_well(kPack<T>, 1, {row})) worst = row;
  }
  const lanes::StreamArray<const T*> on_device(std::span<const T* const>(addresses), stream);
  each_pack<T>("combine", stream, 1, n, {Matrix(y.reshape({1, n})), worst}, [&](auto pack) {
    return CombineTerms<T, decltype(pack)::value>{elements<T>(y), on_device.data(),
                                                  static_cast<int>(terms.size()), combination};
  });
}

}  // namespace

void combine(Tensor y, std::span<const Tensor> terms, Combination combination, Stream stream) {
  switch (y.dtype()) {
    case DType::F32:
      return combine_as<float>(y, terms, combination, stream);
    case DType::F64:
      return combine_as<double>(y, terms, combination, stream);
    case DType::BF16:
      return combine_as<bf16>(y, terms, combination, stream);
    case DType::I32:
      return combine_as<std::int32_t>(y, terms, combination, stream);
    default:
      return combine_as<i64>(y, terms, combination, stream);
  }
}

}  // namespace longsight::ops::cuda
