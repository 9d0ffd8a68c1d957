#include "runtime/device/lanes/reduce.h"
#include "runtime/ops/cuda/adamw.h"
#include "runtime/ops/cuda/views.h"
#include "runtime/ops/formulas/adamw.h"

namespace longsight::ops::cuda {
namespace {

template <class T, int N>
struct AdamWStep {
  LANE_FN void operator()(i64, i64 first) const {
    const double factor = *scale;
    Pack<T, N> g = load<N>(gradient + first);
    if (!std::isnan(factor)) {
      Pack<T, N> p = load<N>(value + first), m = load<N>(first_moment + first),
                 v = load<N>(second_moment + first);
      Pack<bf16, N> rounded;
      for (int i = 0; i < N; ++i) {
        formulas::adamw_element(p[i], g[i], m[i], v[i], static_cast<T>(factor), rates);
        rounded[i] = static_cast<float>(p[i]);
      }
      store(value + first, p);
      store(first_moment + first, m);
      store(second_moment + first, v);
      if (copy != nullptr) store(copy + first, rounded);
    }
    for (int i = 0; i < N; ++i) g[i] = T(0);
    store(gradient + first, g);
  }
  T *value, *gradient, *first_moment, *second_moment;
  bf16* copy;
  const double* scale;
  formulas::AdamWRates<T> rates;
};

// partial[block] = the squares of elements [block * kSquares, (block + 1) * kSquares): the cut depends on the
// number of elements alone.
constexpr i64 kSquares = 1 << 15;

template <class T, int N>
struct PartialSquares {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const i64 begin = lane.block() * kSquares, end = begin + kSquares < count ? begin + kSquares : count;
    double sum = 0;
    for (i64 i = begin + lane.thread() * N; i < end; i += lane.threads() * N) {
      const Pack<T, N> values = load<N>(x + i);
      for (int k = 0; k < N; ++k) sum += static_cast<double>(values[k]) * static_cast<double>(values[k]);
    }
    sum = lanes::block_reduce(lane, sum, lanes::Plus{});
    if (lane.thread() == 0) partial[lane.block()] = sum;
  }
  double* partial;
  const T* x;
  i64 count;
};

// total += the sum of so many terms, by one block.
struct AddTerms {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    double sum = 0;
    for (i64 i = lane.thread(); i < count; i += lane.threads()) sum += terms[i];
    sum = lanes::block_reduce(lane, sum, lanes::Plus{});
    if (lane.thread() == 0) *total += sum;
  }
  double* total;
  const double* terms;
  i64 count;
};

struct ClipScale {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    if (lane.thread() == 0) *scale = formulas::clip_factor(*squares, *loss, clip);
  }
  double* scale;
  const double *squares, *loss;
  double clip;
};

}  // namespace

void adamw_step(Tensor value, Tensor gradient, Tensor first_moment, Tensor second_moment, Tensor scale,
                const AdamWOptions& options, Tensor copy, Stream stream) {
  const i64 n = value.elements();
  dispatch_statistics(value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto row = [n](const Tensor& x) { return x ? Matrix(x.reshape({1, n})) : Matrix(); };
    each_pack<T>("adamw_step", stream, 1, n,
                 {row(value), row(gradient), row(first_moment), row(second_moment), row(copy)},
                 [&](auto pack) {
                   return AdamWStep<T, decltype(pack)::value>{elements<T>(value),
                                                              elements<T>(gradient),
                                                              elements<T>(first_moment),
                                                              elements<T>(second_moment),
                                                              elements_or_null<bf16>(copy),
                                                              elements<const double>(scale),
                                                              formulas::AdamWRates<T>(options)};
                 });
  });
}

void sum_of_squares(Tensor sum, Tensor x, Stream stream) {
  const i64 n = x.elements(), blocks = ceil_div(n, kSquares);
  if (n == 0) return;
  const lanes::StreamArray<double> partial(blocks, stream);
  dispatch_statistics(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    with_pack<T>(n, {Matrix(x.reshape({1, n}))}, [&](auto pack) {
      launch("sum_of_squares", stream, {blocks, 256, static_cast<i64>(lanes::kReduceBytes)},
             PartialSquares<T, decltype(pack)::value>{partial.data(), elements<const T>(x), n});
    });
  });
  launch("sum_of_squares: parts", stream, {1, 512, static_cast<i64>(lanes::kReduceBytes)},
         AddTerms{elements<double>(sum), partial.data(), blocks});
}

void clip_scale(Tensor scale, Tensor squares, Tensor loss, double clip, Stream stream) {
  launch("clip_scale", stream, {1, 32},
         ClipScale{elements<double>(scale), elements<const double>(squares), elements<const double>(loss),
                   clip});
}

}  // namespace longsight::ops::cuda
