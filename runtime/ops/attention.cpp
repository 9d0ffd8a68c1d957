#include "runtime/ops/attention.h"

#include <algorithm>

#include "runtime/ops/cuda/attention.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/attention_plan.h"

namespace longsight::ops {
namespace {

void check_spans(std::span<const AttentionSpan> spans, i64 q_rows, i64 k_rows) {
  i64 q_end = 0, k_end = 0;
  for (std::size_t s = 0; s < spans.size(); ++s) {
    const AttentionSpan& span = spans[s];
    check(span.q_rows >= 0 && span.k_rows >= 0, "attention span {}: {} query rows, {} key rows", s,
          span.q_rows, span.k_rows);
    check(span.window >= 0 && span.prefix >= 0 && (span.causal || (span.window == 0 && span.prefix == 0)),
          "attention span {}: {} with a window of {} and a prefix of {}", s,
          span.causal ? "causal" : "not causal", span.window, span.prefix);
    check(span.q_begin == q_end && span.k_begin == k_end,
          "attention span {} begins at query row {} and key row {}, the one before ends at {} and {}", s,
          span.q_begin, span.k_begin, q_end, k_end);
    q_end += span.q_rows;
    k_end += span.k_rows;
  }
  check(q_end == q_rows && k_end == k_rows, "attention spans hold {} of {} query rows and {} of {} key rows",
        q_end, q_rows, k_end, k_rows);
}

void check_like(const Heads& x, const Heads& like, const char* name) {
  check(x.rows() == like.rows() && x.heads == like.heads && x.width == like.width &&
            x.matrix.dtype == like.matrix.dtype,
        "attention: {} is {} [{}, {}, {}], expected {} [{}, {}, {}]", name, name_of(x.matrix.dtype), x.rows(),
        x.heads, x.width, name_of(like.matrix.dtype), like.rows(), like.heads, like.width);
}

void check_per_head(const Matrix& x, const Heads& like, const char* name) {
  check(x.rows == like.rows() && x.cols == like.heads && x.dtype == statistics_of(like.matrix.dtype),
        "attention: {} is {} [{}, {}], expected {} [{}, {}]", name, name_of(x.dtype), x.rows, x.cols,
        name_of(statistics_of(like.matrix.dtype)), like.rows(), like.heads);
}

void check_attention(const Heads& q, const Heads& k, const Heads& v, const AttentionProblem& problem) {
  check_like(v, k, "v");
  check(q.width == k.width && q.width > 0 && q.matrix.dtype == k.matrix.dtype,
        "attention: q is {} with heads of {}, k is {} with heads of {}", name_of(q.matrix.dtype), q.width,
        name_of(k.matrix.dtype), k.width);
  const HeadMap& map = problem.heads;
  check(map.group >= 1 && map.first_q >= 0, "attention: head map with group {} from head {}", map.group,
        map.first_q);
  if (q.heads > 0) {
    check(map.kv_of(0) >= 0 && map.kv_of(q.heads - 1) < k.heads,
          "attention: {} query heads use KV heads {} to {} of {}", q.heads, map.kv_of(0),
          map.kv_of(q.heads - 1), k.heads);
  }
  check_spans(problem.spans, q.rows(), k.rows());
}

// The host's; CUDA's executor takes its own scratch.
bool takes_tiles(Stream stream) {
  if (stream.backend == Backend::cuda) return false;
  return stream.backend != Backend::trace || trace_of(stream).takes_tiles;
}

// Of the two products of forward: scores, and sums of values.
double forward_flops(const Heads& q, const AttentionProblem& problem) {
  return 4 * static_cast<double>(visible_pairs(problem.spans)) * static_cast<double>(q.heads * q.width);
}

}  // namespace

void attention(Heads o, Matrix lse, Heads q, Heads k, Heads v, const AttentionProblem& problem,
               Arena& scratch, Stream stream) {
  check_attention(q, k, v, problem);
  check_like(o, q, "o");
  check_per_head(lse, q, "lse");
  const KeptList<AttentionSpan> kept(problem.spans, stream);
  dispatch(q.matrix.dtype, [&, heads = problem.heads, scale = problem.scale](auto zero) {
    using T = decltype(zero);
    const ArenaScope scope(scratch);
    const auto& kernels = host::tile_kernels<T>();
    host::ForwardScratch memory;
    if (takes_tiles(stream)) memory = host::forward_scratch<T>(kernels, q, problem, scratch);
    execute(
        stream,
        {.op = "attention",
         .flops = forward_flops(q, problem),
         .bytes = bytes_of({o.matrix, lse, q.matrix, k.matrix, v.matrix})},
        [=, &kernels] {
          host::run_forward<T>(kernels, o, lse, q, k, v, {kept.list(), heads, scale}, memory);
        },
        [&] { cuda::attention(o, lse, q, k, v, problem, scratch, stream); });
  });
}

void attention_delta(Matrix delta, Heads d_o, Heads o, Stream stream) {
  check_like(o, d_o, "o");
  check_per_head(delta, d_o, "delta");
  execute(
      stream, {.op = "attention_delta", .bytes = bytes_of({delta, d_o.matrix, o.matrix})},
      [=] { host::attention_delta(delta, d_o, o); }, [&] { cuda::attention_delta(delta, d_o, o, stream); });
}

void attention_backward(Heads dq, Heads dk, Heads dv, Heads d_o, Matrix delta, Matrix lse, Heads q, Heads k,
                        Heads v, const AttentionProblem& problem, Arena& scratch, Stream stream) {
  check_attention(q, k, v, problem);
  check_like(dq, q, "dq");
  check_like(dk, k, "dk");
  check_like(dv, k, "dv");
  check_like(d_o, q, "d_o");
  check_per_head(delta, q, "delta");
  check_per_head(lse, q, "lse");
  if (k.heads == 0) return;
  const KeptList<AttentionSpan> kept(problem.spans, stream);
  dispatch(q.matrix.dtype, [&, heads = problem.heads, scale = problem.scale](auto zero) {
    using T = decltype(zero);
    const ArenaScope scope(scratch);
    const auto& kernels = host::tile_kernels<T>();
    host::BackwardScratch memory;
    if (takes_tiles(stream)) memory = host::backward_scratch<T>(kernels, q, problem, scratch);
    if (stream.backend != Backend::cuda) memory.dq_sums = host::dq_sums<T>(dq, scratch);
    // Five products: of the scores once more, and of the gradients of q, k, v and the probabilities.
    execute(
        stream,
        {.op = "attention_backward",
         .flops = 2.5 * forward_flops(q, problem),
         .bytes = bytes_of(
             {dq.matrix, dk.matrix, dv.matrix, d_o.matrix, delta, lse, q.matrix, k.matrix, v.matrix}),
         .again = 0.5 * forward_flops(q, problem)},
        [=, &kernels] {
          host::run_backward<T>(kernels, dq, dk, dv, d_o, delta, lse, q, k, v, {kept.list(), heads, scale},
                                memory);
        },
        [&] { cuda::attention_backward(dq, dk, dv, d_o, delta, lse, q, k, v, problem, scratch, stream); });
  });
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
    const host::TileMask mask = host::mask_of(span);
    const auto keys_before = [&](i64 shift) {
      return sum_of_clamped(span.q_rows, shift, mask.prefix, span.k_rows);
    };
    pairs += checked_mul(span.q_rows, mask.prefix) + keys_before(mask.offset + 1) -
             keys_before(mask.offset + 1 - mask.window);
  }
  return pairs;
}

}  // namespace longsight::ops
