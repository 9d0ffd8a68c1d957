// The parts of a projection [T, (H + 2 Hkv) D], query, key and value heads side by side, and of its keys and
// values alone.
#pragma once

#include "runtime/tensor/matrix.h"

namespace longsight::parallel {

struct QkvHeads {
  QkvHeads(Matrix m, i64 heads, i64 kv_heads, i64 width)
      : q(m.columns(0, heads * width), heads, width),
        k(m.columns(heads * width, kv_heads * width), kv_heads, width),
        v(m.columns((heads + kv_heads) * width, kv_heads * width), kv_heads, width) {}
  Heads q, k, v;
};

struct KvHeads {
  KvHeads(Matrix m, i64 kv_heads, i64 width)
      : k(m.columns(0, kv_heads * width), kv_heads, width),
        v(m.columns(kv_heads * width, kv_heads * width), kv_heads, width) {}
  Heads k, v;
};

}  // namespace longsight::parallel
