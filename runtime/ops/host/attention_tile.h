// Private to attention: the work on one tile, written once (attention_tile.inl) and compiled for two
// instruction sets (attention_tile_avx2.cpp, attention_tile_avx512.cpp); the machine at hand decides at run
// time.
#pragma once

#include "runtime/tensor/dtype.h"

namespace longsight::ops::host {

// Most rows of a tile. Multiples of the rows (12, 6) and lanes (up to 32) of the micro-kernels; the tile of
// scores and its operands stay in the second-level cache.
inline constexpr i64 kForwardQueries = 192;
inline constexpr i64 kForwardKeys = 96;
inline constexpr i64 kBackwardQueries = 96;
inline constexpr i64 kBackwardKeys = 192;

// Key j of the tile is visible to query i of the tile iff i + offset - window < j <= i + offset, or j <
// prefix.
struct TileMask {
  i64 offset, window, prefix;
};
inline constexpr i64 kNoWindow = i64{1} << 40;

// In all tiles rows are `stride` apart. What is stored as T is computed with as its statistics: brought to
// that type when it is copied into the scratch, and rounded once when it is written.

// Queries of one head, with the keys that any of them sees: [0, prefix) and [begin, end) of those at k and v.
template <class T>
struct ForwardTile {
  i64 width, queries;
  i64 prefix, begin, end;
  TileMask mask;
  double scale;
  const T *q, *k, *v;
  i64 q_stride, k_stride, v_stride;
  T* o;
  Statistics<T>* lse;
  i64 o_stride, lse_stride;
};

// Keys of one KV head: their dk and dv are complete when all their queries were visited.
template <class T>
struct KeyTile {
  i64 width, keys;
  double scale;
  const T *k, *v;
  i64 k_stride, v_stride;
  T *dk, *dv;
  i64 dk_stride, dv_stride;
};

// Queries of one head, as keys of a KeyTile see them.
template <class T>
struct QueryTile {
  i64 queries;
  TileMask mask;
  bool first, last;  // visit of the key tile
  const T *q, *d_o;
  const Statistics<T>*lse, *delta;
  i64 q_stride, d_o_stride, lse_stride, delta_stride;
  T* dq;
  Statistics<T>* dq_sum;  // over the visits before the last: dq itself, where that is of the type
  i64 dq_stride, dq_sum_stride;
};

// Scratch is counted in elements of S, 64-byte aligned, and belongs to one thread.
template <class T>
struct TileKernels {
  using S = Statistics<T>;
  i64 (*forward_scratch)(i64 width);
  // o and lse of the tile are overwritten. What `next`, or null, will read is brought nearer meanwhile.
  void (*forward)(const ForwardTile<T>&, const ForwardTile<T>* next, S* scratch);

  // Backward: begin_keys, then for each query tile visit_queries and write_dq, then finish_keys. The next
  // queries are those of the next visit, the next keys those of the tile behind this one, where they are
  // known.
  i64 (*backward_scratch)(i64 width);
  void (*begin_keys)(const KeyTile<T>&, S* scratch);
  void (*visit_queries)(const KeyTile<T>&, const QueryTile<T>&, const KeyTile<T>* next_keys,
                        const QueryTile<T>* next_queries, S* scratch);
  // What the visit before found is written into dq_sum or, with `add`, added to it; at the last visit of
  // these queries the sum goes into dq instead.
  void (*write_dq)(const KeyTile<T>&, const QueryTile<T>&, bool add, bool last, const S* scratch);
  void (*finish_keys)(const KeyTile<T>&, const S* scratch);  // dk and dv are overwritten
};

enum class InstructionSet { avx2, avx512 };
bool supported(InstructionSet);
template <class T>
const TileKernels<T>& tile_kernels(InstructionSet);
template <class T>
const TileKernels<T>& tile_kernels();  // the best that this machine runs

}  // namespace longsight::ops::host
