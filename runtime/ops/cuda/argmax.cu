#include <limits>

#include "runtime/device/lanes/reduce.h"
#include "runtime/ops/cuda/argmax.h"
#include "runtime/ops/cuda/views.h"

namespace longsight::ops::cuda {
namespace {

// The largest of some elements, of equal ones the first; column -1 where one is not finite.
template <class S>
struct Largest {
  S value;
  i64 column;
};

struct LargerOf {
  template <class S>
  LANE_FN Largest<S> operator()(const Largest<S>& a, const Largest<S>& b) const {
    if (a.column < 0 || b.column < 0) return {S(0), -1};
    if (a.value > b.value) return a;
    if (b.value > a.value) return b;
    return a.column < b.column ? a : b;
  }
};

template <class T>
struct Argmax {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    using S = Statistics<T>;
    const i64 row = lane.block();
    // Behind all columns where the thread has none.
    Largest<S> mine{-std::numeric_limits<S>::infinity(), columns};
    for (i64 c = lane.thread(); c < columns; c += lane.threads()) {
      const S value = *x.at(row, c);
      mine = LargerOf{}(mine, std::isfinite(value) ? Largest<S>{value, c} : Largest<S>{S(0), -1});
    }
    const Largest<S> best = lanes::block_reduce(lane, mine, LargerOf{});
    if (lane.thread() == 0) index[row] = best.column;
  }
  i64* index;
  Rows<const T> x;
  i64 columns;
};

}  // namespace

void argmax(Tensor index, Matrix x, Stream stream) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("argmax", stream, {x.rows, 512, static_cast<i64>(lanes::kReduceBytes)},
           Argmax<T>{elements<i64>(index), Rows<const T>(x), x.cols});
  });
}

}  // namespace longsight::ops::cuda
