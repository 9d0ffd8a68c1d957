#include "runtime/ops/attention.h"

#include <algorithm>

#include "runtime/ops/attention_plan.h"

namespace longsight::ops {

void attention(Heads o, Matrix lse, Heads q, Heads k, Heads v, const AttentionProblem& problem,
               Arena& scratch, Stream stream) {
  check(stream.backend == Backend::host, "attention does not run on {}", name_of(stream.backend));
  check_attention(q, k, v, problem);
  check_like(o, q, "o");
  check_per_head(lse, q, "lse");
  dispatch(q.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    run_forward<T>(tile_kernels<T>(), o, lse, q, k, v, problem, scratch);
  });
}

void attention_delta(Matrix delta, Heads d_o, Heads o, Stream stream) {
  check(stream.backend == Backend::host, "attention_delta does not run on {}", name_of(stream.backend));
  check_like(o, d_o, "o");
  check_per_head(delta, d_o, "delta");
  dispatch(d_o.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    const HeadRows<T> left(d_o), right(o);
    T* out = delta.as<T>();
    const i64 width = d_o.width;
#pragma omp parallel for
    for (i64 t = 0; t < d_o.rows(); ++t) {
      for (i64 h = 0; h < d_o.heads; ++h) {
        const T *a = left.at(t, h), *b = right.at(t, h);
        T sum = 0;
#pragma omp simd reduction(+ : sum)
        for (i64 c = 0; c < width; ++c) sum += a[c] * b[c];
        out[t * delta.stride + h] = sum;
      }
    }
  });
}

void attention_backward(Heads dq, Heads dk, Heads dv, Heads d_o, Matrix delta, Matrix lse, Heads q, Heads k,
                        Heads v, const AttentionProblem& problem, Arena& scratch, Stream stream) {
  check(stream.backend == Backend::host, "attention_backward does not run on {}", name_of(stream.backend));
  check_attention(q, k, v, problem);
  check_like(dq, q, "dq");
  check_like(dk, k, "dk");
  check_like(dv, k, "dv");
  check_like(d_o, q, "d_o");
  check_per_head(delta, q, "delta");
  check_per_head(lse, q, "lse");
  dispatch(q.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    run_backward<T>(tile_kernels<T>(), dq, dk, dv, d_o, delta, lse, q, k, v, problem, scratch);
  });
}

AttentionScratch attention_scratch(std::span<const AttentionSpan> spans, i64 heads, i64 kv_heads, i64 width,
                                   DType dtype, int threads) {
  const i64 items = Arena::bytes_of(DType::I64, static_cast<i64>(spans.size()) + 1);
  i64 query_tiles = 0;
  for (const AttentionSpan& span : spans) query_tiles += Tiling(span.q_rows, kBackwardQueries).count;
  const i64 turns = Arena::bytes_of(DType::I64, heads * query_tiles);
  AttentionScratch scratch;
  dispatch(dtype, [&](auto zero) {
    const auto& kernels = tile_kernels<decltype(zero)>();
    const auto tiles = [&](i64 elements) {
      return Arena::bytes_of(dtype, threads * elements_per_thread(elements));
    };
    if (heads > 0) scratch.forward = items + tiles(kernels.forward_scratch(width));
    if (kv_heads > 0) scratch.backward = 2 * items + turns + tiles(kernels.backward_scratch(width));
  });
  return scratch;
}

namespace {

// Sum of clamp(i + shift, low, high) over i < rows: first low, then one more at each row, then high.
i64 sum_of_clamped(i64 rows, i64 shift, i64 low, i64 high) {
  const i64 first = std::clamp<i64>(low - shift, 0, rows);
  const i64 full = std::clamp<i64>(high - shift, first, rows);
  const i64 rising = full - first;
  return checked_mul(first, low) + checked_mul(rising, first + shift) + rising * (rising - 1) / 2 +
         checked_mul(rows - full, high);
}

}  // namespace

i64 visible_pairs(std::span<const AttentionSpan> spans) {
  i64 pairs = 0;
  for (const AttentionSpan& span : spans) {
    // Query i sees the prefix, and behind it keys [i + offset + 1 - window, i + offset + 1) as far as they
    // exist.
    const TileMask mask = mask_of(span);
    const auto keys_before = [&](i64 shift) {
      return sum_of_clamped(span.q_rows, shift, mask.prefix, span.k_rows);
    };
    pairs += checked_mul(span.q_rows, mask.prefix) + keys_before(mask.offset + 1) -
             keys_before(mask.offset + 1 - mask.window);
  }
  return pairs;
}

}  // namespace longsight::ops
