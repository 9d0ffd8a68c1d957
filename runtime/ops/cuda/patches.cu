#include "runtime/ops/cuda/patches.h"
#include "runtime/ops/cuda/views.h"

namespace longsight::ops::cuda {
namespace {

// Column of EachPack: (channel, y, x) of the patch.
template <class T>
struct PatchRows {
  LANE_FN void operator()(i64 row, i64 column) const {
    const i64 at = index[row], down = quotient(at, across), top = down * patch,
              left = (at - down * across) * patch;
    const i64 line = quotient(column, patch), x = column - line * patch;
    const i64 channel = quotient(line, patch), y = line - channel * patch;
    *rows.at(row, column) = static_cast<T>(pixels[(channel * height + top + y) * width + left + x]);
  }
  Rows<T> rows;
  const float* pixels;
  const i64* index;
  i64 patch, height, width, across;
};

template <class T, int N>
struct ReadyRows {
  LANE_FN void operator()(i64 row, i64 column) const {
    const Pack<float, N> in = load<N>(patches + index[row] * width + column);
    Pack<T, N> out;
    for (int i = 0; i < N; ++i) out[i] = static_cast<T>(in[i]);
    store(rows.at(row, column), out);
  }
  Rows<T> rows;
  const float* patches;
  const i64* index;
  i64 width;
};

}  // namespace

void patch_rows(Matrix rows, Tensor pixels, i64 patch, const IndexList& index, Stream stream) {
  const i64 height = pixels.extent(1), width = pixels.extent(2);
  dispatch(rows.dtype, [&](auto zero) {
    using T = decltype(zero);
    const PatchRows<T> f{
        Rows<T>(rows), elements<const float>(pixels), index.on(stream).data(), patch, height, width,
        width / patch};
    launch("patch_rows", stream, lanes::grid_of_items(rows.rows * rows.cols),
           EachPack<1, PatchRows<T>>{rows.rows, 0, rows.cols, f});
  });
}

void ready_patch_rows(Matrix rows, Tensor patches, const IndexList& index, Stream stream) {
  dispatch(rows.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_pack<T>(rows.cols, {rows, patches}, [&](auto pack) {
      constexpr int kElements = decltype(pack)::value;
      const ReadyRows<T, kElements> f{Rows<T>(rows), elements<const float>(patches), index.on(stream).data(),
                                      rows.cols};
      launch("ready_patch_rows", stream, lanes::grid_of_items(rows.rows * (rows.cols / kElements)),
             EachPack<kElements, ReadyRows<T, kElements>>{rows.rows, 0, rows.cols, f});
    });
  });
}

}  // namespace longsight::ops::cuda
