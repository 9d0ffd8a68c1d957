// Private to attention: the work on one tile, written once (attention_tile.inl) and compiled for two
// instruction sets (attention_tile_avx2.cpp, attention_tile_avx512.cpp); the machine at hand decides at run
// time.
#pragma once

#include "runtime/base/number.h"

namespace longsight::ops {

// Most rows of a tile. Multiples of the rows (12, 6) and lanes (up to 32) of the micro-kernels; the tile of
// scores and its operands stay in the second-level cache.
inline constexpr i64 kForwardQueries = 192;
inline constexpr i64 kForwardKeys = 96;
inline constexpr i64 kBackwardQueries = 96;
inline constexpr i64 kBackwardKeys = 192;

// In all tiles: key j of the tile is visible to query i of the tile iff j <= i + offset, rows are `stride`
// apart.

// Queries of one head, with all the keys that any of them sees.
template <class T>
struct ForwardTile {
  i64 width, queries, keys, offset;
  double scale;
  const T *q, *k, *v;
  i64 q_stride, k_stride, v_stride;
  T *o, *lse;
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
  i64 queries, offset;
  i64 queries_after;  // rows behind these that the next visit will read
  const T *q, *d_o, *lse, *delta;
  i64 q_stride, d_o_stride, lse_stride, delta_stride;
  T* dq;
  i64 dq_stride;
};

// Scratch is counted in elements of T, 64-byte aligned, and belongs to one thread.
template <class T>
struct TileKernels {
  i64 (*forward_scratch)(i64 width);
  void (*forward)(const ForwardTile<T>&, T* scratch);  // o and lse of the tile are overwritten

  // Backward: begin_keys, then for each query tile visit_queries and write_dq, then finish_keys.
  i64 (*backward_scratch)(i64 width);
  void (*begin_keys)(const KeyTile<T>&, T* scratch);
  void (*visit_queries)(const KeyTile<T>&, const QueryTile<T>&, T* scratch);
  // dq = or, with `add`, += what the visit before found.
  void (*write_dq)(const KeyTile<T>&, const QueryTile<T>&, bool add, const T* scratch);
  void (*finish_keys)(const KeyTile<T>&, const T* scratch);  // dk and dv are overwritten
};

enum class InstructionSet { avx2, avx512 };
bool supported(InstructionSet);
template <class T>
const TileKernels<T>& tile_kernels(InstructionSet);
template <class T>
const TileKernels<T>& tile_kernels();  // the best that this machine runs

}  // namespace longsight::ops
