// What a query sees: causal masks, windows and prefixes; and what lies outside of them.
#include "tests/runtime/ops/attention_reference.h"

using namespace longsight;
using namespace longsight::ops;

TEST_CASE("a query that sees no key gets zero, minus infinity and no gradient") {
  const Problem p = {.spans = diagonals({{120, 120, -50}}), .heads = 2, .kv_heads = 2, .width = 16};
  const Inputs in(DType::F32, p);
  const Results out = compute<float>(p, in, instruction_sets().back());
  for (i64 t = 0; t < 120; ++t) {
    for (i64 h = 0; h < 2; ++h) {
      const bool blind = t < 50;
      CHECK((out.lse->host<float>()[t * 2 + h] == -std::numeric_limits<float>::infinity()) == blind);
      for (i64 c = 0; c < 16; ++c) {
        const i64 i = (t * 2 + h) * 16 + c;
        CHECK((out.o->host<float>()[i] == 0) == blind);
        // Query 50 sees one key: its probability is 1 whatever the score, its gradient zero up to rounding.
        if (t != 50) CHECK((out.dq->host<float>()[i] == 0) == blind);
        // Keys 70 and later are seen by nobody.
        CHECK((out.dv->host<float>()[i] == 0) == (t >= 70));
      }
    }
  }
}

TEST_CASE("a query whose window lies behind all keys sees the prefix alone, or nothing") {
  const AttentionSpan behind = {.q_begin = 0,
                                .q_rows = 5,
                                .k_begin = 0,
                                .k_rows = 30,
                                .diagonal = 40,
                                .causal = true,
                                .window = 12,
                                .prefix = 0};
  Problem p = {.spans = {behind}, .heads = 1, .kv_heads = 1, .width = 16};
  const Inputs in(DType::F64, p);
  for (const host::InstructionSet set : instruction_sets()) {
    p.spans[0].prefix = 0;
    // Query 0 is at key 40 and sees keys 29 to 40, so the last one; query 1 sees none.
    const Results blind = compute<double>(p, in, set);
    for (i64 t = 0; t < 5; ++t) CHECK(std::isfinite(blind.lse->host<double>()[t]) == (t == 0));
    for (i64 c = 0; c < 16; ++c) {
      CHECK(blind.o->host<double>()[c] == doctest::Approx(in.v->host<double>()[29 * 16 + c]).epsilon(1e-14));
      CHECK(blind.o->host<double>()[16 + c] == 0);
      CHECK(blind.dq->host<double>()[16 + c] == 0);
      CHECK(blind.dv->host<double>()[28 * 16 + c] == 0);
    }
    p.spans[0].prefix = 1;
    const Results prefix = compute<double>(p, in, set);
    for (i64 c = 0; c < 16; ++c) {
      CHECK(prefix.o->host<double>()[16 + c] == in.v->host<double>()[c]);
      CHECK(prefix.dv->host<double>()[28 * 16 + c] == 0);
      CHECK(prefix.dv->host<double>()[c] != 0);
    }
  }
}

TEST_CASE("tiles outside the window, above the diagonal and outside the prefix are not touched") {
  // Queries at keys 700 to 799 of 1,500; they see keys 660 to 799, and the first 20.
  for (const i64 prefix : {0, 20}) {
    CAPTURE(prefix);
    const Problem p = {.spans = masked(diagonals({{100, 1500, 700}}), 41, prefix),
                       .heads = 2,
                       .kv_heads = 1,
                       .width = 32,
                       .map = {0, 2, 0}};
    const Inputs in(DType::F32, p);
    for (i64 key = 0; key < 1500; ++key) {
      // Tiles of up to 192 keys may hold hidden ones beside those that are seen.
      const bool far = (key >= 192 && key < 660 - 192) || key >= 800 + 192;
      if (!far && (prefix > 0 || key >= 192)) continue;
      for (const OwnedTensor* x : {&in.k, &in.v})
        std::fill_n((*x)->host<float>() + key * p.width, p.width, std::numeric_limits<float>::quiet_NaN());
    }
    for (const host::InstructionSet set : instruction_sets()) {
      const Results out = compute<float>(p, in, set);
      for (const OwnedTensor* x : out.all()) {
        i64 wrong = 0;
        for (i64 i = 0; i < (*x)->elements(); ++i) wrong += !std::isfinite((*x)->host<float>()[i]);
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("visible pairs are counted as the mask shows them") {
  i64 total = 0, wrong = 0;
  std::vector<AttentionSpan> spans;
  for (const i64 q_rows : {0, 1, 7}) {
    for (const i64 k_rows : {0, 1, 5, 12}) {
      for (i64 diagonal = -15; diagonal <= 15; ++diagonal) {
        for (const bool causal : {true, false}) {
          for (const i64 window : {0, 1, 2, 5, 13, 40}) {
            for (const i64 prefix : {0, 1, 4, 12, 30}) {
              if (!causal && (window > 0 || prefix > 0)) continue;
              const AttentionSpan span{0, q_rows, 0, k_rows, diagonal, causal, window, prefix};
              i64 pairs = 0;
              for (i64 i = 0; i < q_rows; ++i) {
                for (i64 j = 0; j < k_rows; ++j) pairs += sees(span, i, j);
              }
              if (visible_pairs({&span, 1}) != pairs) ++wrong;
              spans.push_back(span);
              total += pairs;
            }
          }
        }
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(visible_pairs(spans) == total);
  // As long as sequences get: no loop over rows.
  const AttentionSpan one = {0, i64{1} << 30, 0, i64{1} << 30, 0, true};
  CHECK(visible_pairs({&one, 1}) == (i64{1} << 29) * ((i64{1} << 30) + 1));
}
