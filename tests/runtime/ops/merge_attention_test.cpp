#include "runtime/ops/merge_attention.h"

#include <array>
#include <cmath>

#include "runtime/ops/attention.h"
#include "runtime/tensor/arena.h"
#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

constexpr i64 kRows = 40, kHeads = 3, kWidth = 5;

struct Result {
  GuardedMatrix o{DType::F64, kRows, kHeads*kWidth}, lse{DType::F64, kRows, kHeads};
};

// Causal attention of kRows queries to keys [begin, end) of kRows.
Result attend(i64 begin, i64 end) {
  GuardedMatrix q(DType::F64, kRows, kHeads * kWidth), k(DType::F64, kRows, kWidth),
      v(DType::F64, kRows, kWidth);
  q.randomise("q");
  k.randomise("k");
  v.randomise("v");
  const std::array<AttentionSpan, 1> spans{
      AttentionSpan{.q_rows = kRows, .k_rows = end - begin, .diagonal = -begin, .causal = true}};
  Result result;
  Arena scratch("scratch");
  attention(Heads(result.o, kHeads, kWidth), result.lse, Heads(q, kHeads, kWidth),
            Heads(k.view().row_range(begin, end - begin), 1, kWidth),
            Heads(v.view().row_range(begin, end - begin), 1, kWidth),
            {.spans = spans, .heads = {.first_q = 0, .group = kHeads, .first_kv = 0}, .scale = 0.7}, scratch,
            {});
  return result;
}

double difference(const GuardedMatrix& a, const GuardedMatrix& b) {
  const std::vector<double> x = a.values(), y = b.values();
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

}  // namespace

TEST_CASE("attention to parts of the keys, merged in any order, is attention to all of them") {
  const Result all = attend(0, kRows);
  // Queries before the first key of a part see nothing of it; the middle one is empty.
  const std::array<std::array<i64, 2>, 4> parts{{{0, 1}, {1, 17}, {17, 17}, {17, kRows}}};
  for (bool backwards : {false, true}) {
    Result merged = attend(parts[backwards ? 3 : 0][0], parts[backwards ? 3 : 0][1]);
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const auto& [begin, end] = parts[backwards ? parts.size() - 1 - i : i];
      const Result part = attend(begin, end);
      merge_attention(Heads(merged.o, kHeads, kWidth), merged.lse, Heads(part.o, kHeads, kWidth), part.lse,
                      {});
    }
    // Averages of numbers of order one over at most 40 keys: each term is off by a few 1e-16.
    CHECK(difference(merged.o, all.o) < 1e-14);
    CHECK(difference(merged.lse, all.lse) < 1e-14);
    CHECK(merged.o.guards_intact());
    CHECK(merged.lse.guards_intact());
  }
}

TEST_CASE("nothing seen and nothing seen is nothing seen, and log-sums of any size are merged") {
  GuardedMatrix o(DType::F32, 3, 2), lse(DType::F32, 3, 1), part(DType::F32, 3, 2),
      part_lse(DType::F32, 3, 1);
  lse.fill(-INFINITY);
  part_lse.fill(-INFINITY);
  merge_attention(Heads(o, 1, 2), lse, Heads(part, 1, 2), part_lse, {});
  CHECK(o.values() == std::vector<double>(6, 0.0));
  CHECK(lse.values() == std::vector<double>(3, -INFINITY));

  part.fill(3);
  part_lse.fill(1000);  // e^1000 is no float
  merge_attention(Heads(o, 1, 2), lse, Heads(part, 1, 2), part_lse, {});
  CHECK(o.values() == std::vector<double>(6, 3.0));
  CHECK(lse.values() == std::vector<double>(3, 1000.0));
  part.fill(5);
  merge_attention(Heads(o, 1, 2), lse, Heads(part, 1, 2), part_lse, {});
  CHECK(o.values() == std::vector<double>(6, 4.0));
}

TEST_CASE(
    "merged results have the same bits for every thread count, and shapes that do not fit are refused") {
  check_same_bits_for_every_thread_count([] {
    GuardedMatrix o(DType::F32, 500, 96), lse(DType::F32, 500, 3), part(DType::F32, 500, 96),
        part_lse(DType::F32, 500, 3);
    o.randomise("o");
    lse.randomise("lse");
    part.randomise("part");
    part_lse.randomise("part_lse");
    merge_attention(Heads(o, 3, 32), lse, Heads(part, 3, 32), part_lse, {});
    return o.values();
  });
  const GuardedMatrix o(DType::F32, 5, 6), lse(DType::F32, 5, 3), other(DType::F32, 4, 3);
  CHECK(failure_of([&] { merge_attention(Heads(o, 3, 2), lse, Heads(o, 3, 2), other, {}); }).code ==
        ExitCode::internal);
  CHECK(failure_of([&] { merge_attention(Heads(o, 3, 2), lse, Heads(o, 2, 3), lse, {}); }).code ==
        ExitCode::internal);
}
