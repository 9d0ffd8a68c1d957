// Private to attention: what a problem must fulfil, how it is cut into tiles, and the drivers that hand tiles
// to threads.
#pragma once

#include <algorithm>

#include "runtime/ops/attention.h"
#include "runtime/ops/host/attention_tile.h"

namespace longsight::ops::host {

// What the queries of a span see of its keys.
inline TileMask mask_of(const AttentionSpan& span) {
  return {.offset = span.causal ? span.diagonal : span.k_rows,
          .window = span.window > 0 ? std::min(span.window, kNoWindow) : kNoWindow,
          .prefix = std::min(span.prefix, span.k_rows)};
}
// The same, counted from a later query and key.
inline TileMask mask_from(const TileMask& mask, i64 query, i64 key) {
  return {mask.offset + query - key, mask.window, mask.prefix - key};
}

// Keys [0, prefix) and, behind them, [begin, end): all that some of the queries [first, first + count) see of
// `keys`. Where the two touch, all are in [begin, end).
struct VisibleKeys {
  VisibleKeys(const TileMask& mask, i64 first, i64 count, i64 keys) : prefix(mask.prefix) {
    begin = std::clamp<i64>(first + mask.offset + 1 - mask.window, 0, keys);
    end = std::clamp<i64>(first + count + mask.offset, prefix, keys);
    if (begin <= prefix) begin = prefix = 0;
    end = std::max(begin, end);
  }

  i64 prefix, begin, end;
};

// `rows` in as few tiles as possible of at most `most` rows, of even size (a multiple of 16, but for the
// last).
struct Tiling {
  Tiling(i64 row_count, i64 most)
      : total(row_count),
        count(ceil_div(total, most)),
        size(count > 0 ? ceil_div(ceil_div(total, count), 16) * 16 : 1) {
    count = ceil_div(total, size);
  }
  i64 begin(i64 tile) const { return tile * size; }
  i64 rows(i64 tile) const { return std::min(size, total - tile * size); }

  i64 total, count, size;
};

// `most` rows to a tile, or half of it where there would be too few tiles to occupy some threads. It depends
// on the problem alone: the tiles, and so the bits of the result, are the same for every thread count.
i64 tile_limit(std::span<const AttentionSpan> spans, i64 AttentionSpan::*rows, i64 heads, i64 most);

// Numbers items (tiles, units of work) through all spans; the items of span s begin at first(s).
class SpanItems {
 public:
  static Tensor memory(std::span<const AttentionSpan> spans, Arena& scratch) {
    return scratch.take(DType::I64, {static_cast<i64>(spans.size()) + 1}, "attention.items");
  }

  template <class F>
  SpanItems(std::span<const AttentionSpan> spans, const Tensor& memory, F&& items_of)
      : first_(memory.host<i64>(), spans.size() + 1) {
    first_[0] = 0;
    for (std::size_t s = 0; s < spans.size(); ++s) first_[s + 1] = first_[s] + items_of(spans[s]);
  }
  i64 size() const { return first_.back(); }
  i64 first(std::size_t span) const { return first_[span]; }
  std::size_t span_of(i64 item) const {
    return static_cast<std::size_t>(std::upper_bound(first_.begin(), first_.end(), item) - first_.begin()) -
           1;
  }

 private:
  std::span<i64> first_;
};

// Elements of a thread's own memory, when its kernel works in so many.
inline i64 elements_per_thread(i64 of_kernel) {
  return ceil_div(of_kernel, 16) * 16;
}

// One head of a [T, H, D] view: row t begins at data + t * stride.
template <class T>
struct HeadRows {
  explicit HeadRows(const Heads& x) : data(x.matrix.host<T>()), stride(x.matrix.stride), width(x.width) {}
  T* at(i64 row, i64 head) const { return data + row * stride + head * width; }

  T* data;
  i64 stride, width;
};

// Scratch of a call on this number of threads. Apart from the call, for a trace takes it too.
struct ForwardScratch {
  Tensor units;  // [spans + 1]
  Tensor tiles;  // [threads, elements]
};
struct BackwardScratch {
  Tensor units, query_tiles;  // [spans + 1]
  Tensor turns;               // [heads, tiles of queries]
  Tensor tiles;               // [threads, elements]
  Heads dq_sums = {};         // [Tq, H, D]: where dq is added up over the tiles of keys
};
template <class T>
ForwardScratch forward_scratch(const TileKernels<T>& kernels, const Heads& q, const AttentionProblem& problem,
                               Arena& scratch);
template <class T>
BackwardScratch backward_scratch(const TileKernels<T>& kernels, const Heads& q,
                                 const AttentionProblem& problem, Arena& scratch);

// dq itself, or, where it is rounded, memory of its statistics' type.
template <class T>
Heads dq_sums(const Heads& dq, Arena& scratch);

// attention() and attention_backward() with the kernels given.
template <class T>
void run_forward(const TileKernels<T>& kernels, const Heads& o, const Matrix& lse, const Heads& q,
                 const Heads& k, const Heads& v, const AttentionProblem& problem,
                 const ForwardScratch& scratch);
template <class T>
void run_backward(const TileKernels<T>& kernels, const Heads& dq, const Heads& dk, const Heads& dv,
                  const Heads& d_o, const Matrix& delta, const Matrix& lse, const Heads& q, const Heads& k,
                  const Heads& v, const AttentionProblem& problem, const BackwardScratch& scratch);

void attention_delta(const Matrix& delta, const Heads& d_o, const Heads& o);

}  // namespace longsight::ops::host
