#include "runtime/tensor/cuda/convert.h"
#include "runtime/tensor/cuda/lane_views.h"

namespace longsight::cuda {
namespace {

using lanes::load;
using lanes::Pack;
using lanes::store;

template <class To, class From, int N>
struct Convert {
  LANE_FN void operator()(i64, i64 first) const {
    const Pack<From, N> in = load<N>(from + first);
    Pack<To, N> out;
    // bf16 by way of f32, as on the host.
    for (int i = 0; i < N; ++i) out[i] = static_cast<Statistics<To>>(in[i]);
    store(to + first, out);
  }
  To* to;
  const From* from;
};

}  // namespace

void convert(Tensor to, Tensor from, Stream stream) {
  const i64 n = to.elements();
  dispatch(to.dtype(), [&](auto to_zero) {
    dispatch(from.dtype(), [&](auto from_zero) {
      using To = decltype(to_zero);
      using From = decltype(from_zero);
      using Smaller = std::conditional_t<(sizeof(To) < sizeof(From)), To, From>;
      lanes::each_pack<Smaller>("copy", stream, 1, n,
                                {Matrix(to.reshape({1, n})), Matrix(from.reshape({1, n}))}, [&](auto pack) {
                                  return Convert<To, From, decltype(pack)::value>{
                                      lanes::elements<To>(to), lanes::elements<const From>(from)};
                                });
    });
  });
}

}  // namespace longsight::cuda
