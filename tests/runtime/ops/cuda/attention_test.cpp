#include "runtime/ops/attention.h"

#include "tests/runtime/ops/cuda/emulated_device.h"
#include "tests/runtime/ops/cuda/twin.h"

using namespace longsight;
using namespace longsight::cuda_test;
using ops::AttentionSpan;

namespace {

struct AttentionCase {
  const char* what;
  std::vector<AttentionSpan> spans;
  i64 heads, kv_heads, width, gap;
  ops::HeadMap map;
};

std::vector<AttentionCase> attention_cases() {
  return {
      {"one token", {{0, 1, 0, 1, 0, true}}, 1, 1, 4, 0, {}},
      {"not causal, longer than a tile", {{0, 33, 0, 100, 0, false}}, 2, 2, 5, 3, {}},
      {"causal, packed, grouped",
       {{0, 40, 0, 40, 0, true}, {40, 1, 40, 1, 0, true}, {41, 31, 41, 31, 0, true}},
       6,
       3,
       8,
       0,
       {.group = 2}},
      {"an uneven range of heads",
       {{0, 35, 0, 35, 0, true}},
       3,
       2,
       9,
       0,
       {.first_q = 3, .group = 4, .first_kv = 0}},
      {"a window", {{0, 70, 0, 70, 0, true, 17}}, 2, 1, 6, 0, {.group = 2}},
      {"a prefix", {{0, 50, 0, 50, 0, true, 0, 37}}, 1, 1, 7, 0, {}},
      {"a prefix and a window", {{0, 80, 0, 80, 0, true, 10, 20}}, 1, 1, 4, 0, {}},
      {"later queries of a longer sequence", {{0, 20, 0, 90, 65, true}}, 2, 2, 12, 0, {}},
      {"queries before all keys, and spans of none",
       {{0, 20, 0, 40, -10, true},
        {20, 0, 40, 5, 0, false},
        {20, 3, 45, 0, 0, true},
        {23, 0, 45, 0, 0, true}},
       1,
       1,
       4,
       0,
       {}},
      {"wide heads", {{0, 18, 0, 34, 16, true}}, 1, 1, 100, 0, {}},
      {"the widest heads", {{0, 17, 0, 17, 0, true}}, 1, 1, 256, 0, {}},
  };
}

}  // namespace

TEST_CASE_TEMPLATE("attention on CUDA is that of the host, forward and backward", T, float, double, bf16) {
  constexpr DType kType = dtype_of<T>(), kSums = dtype_of<Statistics<T>>();
  for (const AttentionCase& c : attention_cases()) {
    CAPTURE(c.what);
    i64 queries = 0, keys = 0;
    for (const AttentionSpan& span : c.spans) queries += span.q_rows, keys += span.k_rows;
    Twin q(kType, {queries, c.heads * c.width}, "q", c.gap),
        k(kType, {keys, c.kv_heads * c.width}, "k", c.gap),
        v(kType, {keys, c.kv_heads * c.width}, "v", c.gap),
        o(kType, {queries, c.heads * c.width}, "o", c.gap), d_o(kType, {queries, c.heads * c.width}, "d_o"),
        dq(kType, {queries, c.heads * c.width}, "dq", c.gap), dk(kType, {keys, c.kv_heads * c.width}, "dk"),
        dv(kType, {keys, c.kv_heads * c.width}, "dv", c.gap);
    Twin lse(kSums, {queries, c.heads}, "lse"), delta(kSums, {queries, c.heads}, "delta", c.gap);
    const ops::AttentionProblem problem{.spans = c.spans, .heads = c.map, .scale = 0.4};
    // Scores of up to `width` terms are exponents; sums of up to `keys` of them.
    const auto terms = static_cast<double>(64 + 4 * c.width + queries + keys);
    Scratch scratch;
    const auto query = [&](const Side& s, const Twin& x) { return x.heads(s.device, c.heads); };
    const auto key = [&](const Side& s, const Twin& x) { return x.heads(s.device, c.kv_heads); };
    same_on_cuda("attention", {&o, &lse}, terms, [&](const Side& s) {
      ops::attention(query(s, o), s.rows(lse), query(s, q), key(s, k), key(s, v), problem,
                     scratch.of(s.device), s.stream);
    });
    same_on_cuda("attention_delta", {&delta}, terms, [&](const Side& s) {
      ops::attention_delta(s.rows(delta), query(s, d_o), query(s, o), s.stream);
    });
    if (keys == 1) continue;  // then there is no gradient but of the value: what is left is rounding
    same_on_cuda("attention_backward", {&dq, &dk, &dv}, 4 * terms, [&](const Side& s) {
      ops::attention_backward(query(s, dq), key(s, dk), key(s, dv), query(s, d_o), s.rows(delta), s.rows(lse),
                              query(s, q), key(s, k), key(s, v), problem, scratch.of(s.device), s.stream);
    });
  }
}

TEST_CASE("heads wider than the kernel has room for are refused") {
  Twin x(DType::F32, {2, 260}, "x"), lse(DType::F32, {2, 1}, "lse");
  const std::vector<AttentionSpan> spans{{0, 2, 0, 2, 0, true}};
  Scratch scratch;
  const Heads heads = x.heads(true, 1);
  const ops::AttentionProblem problem{.spans = spans, .heads = {}};
  CHECK_THROWS_AS(ops::attention(heads, lse.matrix(true), heads, heads, heads, problem, scratch.of(true),
                                 {.backend = Backend::cuda}),
                  Error);
}
