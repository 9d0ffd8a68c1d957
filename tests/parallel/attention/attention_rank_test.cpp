// Attention over a cut stream: which keys a query sees (placement), backward against forward (adjoint), and
// every value against one rank, with windows, prefixes and sequences that are windows of others.
#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "parallel/attention/attention.h"
#include "parallel/groups/self_group.h"
#include "runtime/base/philox.h"
#include "tests/support/rank_test.h"
#include "tests/support/traced_attention.h"

namespace longsight::parallel {
namespace {

constexpr AttentionShape kShape{.heads = 6, .kv_heads = 3, .width = 8};

// Packed sequences, some of them empty, and prefixes of no rows, of some and of all.
struct Rows {
  PackedSequences sequences;
  std::vector<i64> prefixes;
  Cuts cuts;
  i64 node = 0;

  AttentionStream stream() const { return {sequences, cuts, prefixes, node}; }
};

Rows make_rows(u64 seed, bool prefixes, bool between_sequences) {
  const Philox random(seed, "rows");
  Rows rows;
  u64 draw = 0;
  const auto below = [&](u64 bound) { return static_cast<i64>(random.below(bound, draw++)); };
  for (i64 s = below(6); s >= 0; --s) {
    const i64 length = below(5) == 0 ? 0 : 1 + below(below(3) == 0 ? 150 : 30);
    rows.sequences.append(length);
    if (!prefixes) continue;
    const i64 which = below(4);
    rows.prefixes.push_back(which == 0 ? 0 : which == 1 ? length : below(static_cast<u64>(length) + 1));
  }
  const i64 ranks = test_world().size();
  const i64 how = between_sequences ? -1 : below(4);
  if (how < 0) {
    rows.cuts = cuts_at(rows.sequences.starts, ranks);
  } else if (how == 0) {
    rows.cuts = even_cuts(rows.sequences.rows(), ranks);
  } else if (how == 1) {
    rows.cuts = zigzag_cuts(rows.sequences.rows(), ranks);
  } else {  // anywhere, also several at one place
    rows.cuts.zigzag = how == 2;
    for (i64 p = 1; p < ranks * (rows.cuts.zigzag ? 2 : 1); ++p)
      rows.cuts.at.push_back(below(static_cast<u64>(rows.sequences.rows()) + 1));
    rows.cuts.at.push_back(rows.sequences.rows());
    std::sort(rows.cuts.at.begin(), rows.cuts.at.end());
  }
  return rows;
}

// The rows of this rank.
OwnedTensor rows_of_rank(Tensor all, const Cuts& cuts) {
  const i64 rank = test_world().rank();
  OwnedTensor mine(DType::F64, {cuts.rows(rank), all.row_size()});
  i64 row = 0;
  for (const RowRange& range : cuts.ranges(rank)) {
    if (all.row_size() > 0)
      copy(mine.view().row_range(row, range.rows()), all.row_range(range.begin, range.rows()), {});
    row += range.rows();
  }
  return mine;
}

// The rows of this rank in [rows, columns] that all ranks could make.
class Whole {
 public:
  Whole(i64 rows, i64 columns) : x_(DType::F64, {rows, columns}) {}
  static Whole normal(i64 rows, i64 columns, u64 seed, const char* name) {
    Whole whole(rows, columns);
    const Philox random(seed, name);
    for (i64 i = 0; i < rows * columns; ++i) whole.data()[i] = random.normal(static_cast<u64>(i));
    return whole;
  }
  double* data() const { return x_->host<double>(); }
  double at(i64 row, i64 column) const { return data()[row * x_->row_size() + column]; }
  double& at(i64 row, i64 column) { return data()[row * x_->row_size() + column]; }
  Tensor all() const { return x_; }
  OwnedTensor of_rank(const Cuts& cuts) const { return rows_of_rank(x_, cuts); }

 private:
  OwnedTensor x_;
};

struct Results {
  Results(DType dtype, i64 rows, const AttentionShape& shape)
      : o(dtype, {rows, shape.q_columns()}), d_qkv(dtype, {rows, shape.columns()}) {}
  OwnedTensor o, d_qkv;
};

Results run(AttentionStrategy& attention, const AttentionShape& shape, Tensor qkv, Tensor d_o,
            ProcessGroup& group = test_world()) {
  const DType dtype = qkv.dtype();
  Results results(dtype, qkv.rows(), shape);
  Arena saved("saved"), scratch("scratch");
  Frames frames;
  const Workspace w{saved, scratch, frames, group, {}};
  attention.forward(results.o, saved.take(statistics_of(dtype), attention.log_sums(), "log-sums"), qkv, w);
  CHECK(frames.size() == 1);
  attention.backward(results.d_qkv, d_o, results.o, w);
  CHECK(frames.size() == 0);
  CHECK(scratch.used() == 0);
  return results;
}

// Sums of up to a few hundred terms of order one in another order: an error of 1e-15 each, 1e-12 is far above
// it.
void check_equal(Tensor mine, Tensor expected) {
  double worst = 0;
  for (i64 i = 0; i < expected.elements(); ++i)
    worst = std::max(worst, std::abs(mine.host<double>()[i] - expected.host<double>()[i]));
  CHECK(worst < 1e-12);
}

void check_equals_one_rank(AttentionKind kind, const AttentionShape& shape, const Rows& rows, u64 seed) {
  INFO(name_of(kind), ", window ", shape.window, ", ", rows.prefixes.size(), " prefixes, seed ", seed);
  const i64 total = rows.sequences.rows();
  const Whole qkv = Whole::normal(total, shape.columns(), seed, "qkv"),
              d_o = Whole::normal(total, shape.q_columns(), seed, "d_o");
  const auto attention = make_attention(kind, shape, rows.stream(), test_world().rank(), "test");
  const Results mine = run(*attention, shape, qkv.of_rank(rows.cuts), d_o.of_rank(rows.cuts));

  SelfGroup self;
  const Cuts one = even_cuts(total, 1);
  const auto alone =
      make_attention(AttentionKind::local, shape, {rows.sequences, one, rows.prefixes}, 0, "alone");
  const Results expected = run(*alone, shape, qkv.all(), d_o.all(), self);
  check_equal(mine.o, rows_of_rank(expected.o, rows.cuts));
  check_equal(mine.d_qkv, rows_of_rank(expected.d_qkv, rows.cuts));
}

AttentionShape causal(i64 window) {
  AttentionShape shape = kShape;
  shape.causal = true;
  shape.window = window;
  return shape;
}

bool between(AttentionKind kind) {
  return cuts_between_sequences({&kind, 1});
}

const std::vector<AttentionKind> kKinds = different_for(Tower::language);
constexpr std::array<i64, 6> kWindows{0, 1, 2, 7, 40, 1000};

TEST_CASE("windows and prefixes have the results and gradients of one rank, wherever the stream is cut") {
  u64 seed = 0;
  for (AttentionKind kind : kKinds) {
    for (i64 window : kWindows) {
      for (bool prefixes : {false, true}) {
        for (int trial = 0; trial < 4; ++trial) {
          ++seed;
          check_equals_one_rank(kind, causal(window), make_rows(seed, prefixes, between(kind)), seed);
        }
      }
    }
  }
}

// In f64, from bf16.
OwnedTensor widened(Tensor x) {
  OwnedTensor wide(DType::F64, x.shape());
  copy(wide, x, {});
  return wide;
}

OwnedTensor rounded(Tensor x) {
  OwnedTensor narrow(DType::BF16, x.shape());
  copy(narrow, x, {});
  return narrow;
}

double largest_of(Tensor x) {
  double largest = 0;
  for (i64 i = 0; i < x.elements(); ++i) largest = std::max(largest, std::abs(x.host<double>()[i]));
  return largest;
}

TEST_CASE("bf16: results and gradients are those of one rank, but for the rounding of what is sent") {
  constexpr double kUnit = 1.0 / 128;  // of a number of order one in bf16; it is off by half of it
  u64 seed = 100;
  for (AttentionKind kind : kKinds) {
    for (i64 window : {i64{0}, i64{7}}) {
      for (i64 width : {8, 3}) {  // an odd number of elements in front of the bits of f32 numbers
        ++seed;
        AttentionShape shape = causal(window);
        shape.width = width;
        INFO(name_of(kind), ", window ", window, ", heads of ", width);
        const Rows rows = make_rows(seed, true, between(kind));
        const i64 total = rows.sequences.rows(), ranks = test_world().size();
        if (total == 0) continue;
        const Whole qkv = Whole::normal(total, shape.columns(), seed, "qkv"),
                    d_o = Whole::normal(total, shape.q_columns(), seed, "d_o");
        const auto attention = make_attention(kind, shape, rows.stream(), test_world().rank(), "test");
        const Results mine =
            run(*attention, shape, rounded(qkv.of_rank(rows.cuts)), rounded(d_o.of_rank(rows.cuts)));
        SelfGroup self;
        const Cuts one = even_cuts(total, 1);
        const auto alone =
            make_attention(AttentionKind::local, shape, {rows.sequences, one, rows.prefixes}, 0, "alone");
        const Results all = run(*alone, shape, rounded(qkv.all()), rounded(d_o.all()), self);
        const auto check_near = [&](Tensor got, Tensor of_all, double roundings) {
          const OwnedTensor expected = widened(of_all), here = widened(got),
                            part = rows_of_rank(expected, rows.cuts);
          double worst = 0;
          for (i64 i = 0; i < part->elements(); ++i)
            worst = std::max(worst, std::abs(here->host<double>()[i] - part->host<double>()[i]));
          CHECK(worst <= roundings * kUnit / 2 * largest_of(expected));
        };
        // Stored here and there; of a gradient each rank's part was, and so was the result that it is made
        // of.
        check_near(mine.o, all.o, 2);
        check_near(mine.d_qkv, all.d_qkv, static_cast<double>(ranks) + 3);
        if (kind == AttentionKind::ulysses && window == 0) {
          // The same ops on the same numbers: all but the gradients of shared keys and values have their
          // bits.
          const OwnedTensor o = widened(mine.o), d = widened(mine.d_qkv),
                            expected = rows_of_rank(widened(all.o), rows.cuts),
                            d_expected = rows_of_rank(widened(all.d_qkv), rows.cuts);
          i64 differing = 0;
          for (i64 i = 0; i < o->rows(); ++i) {
            for (i64 c = 0; c < shape.q_columns(); ++c) {
              differing += o->host<double>()[i * shape.q_columns() + c] !=
                           expected->host<double>()[i * shape.q_columns() + c];
              differing += d->host<double>()[i * shape.columns() + c] !=
                           d_expected->host<double>()[i * shape.columns() + c];
            }
          }
          CHECK(differing == 0);
        }
      }
    }
  }
}

TEST_CASE("a query sees the keys of its window and of its prefix, and no other") {
  // Equal scores: the result is the mean of the values that are seen, and these tell their row.
  for (AttentionKind kind : kKinds) {
    for (i64 window : kWindows) {
      const AttentionShape shape = causal(window);
      for (u64 seed = 0; seed < 3; ++seed) {
        const Rows rows = make_rows(seed, seed > 0, between(kind));
        INFO(name_of(kind), ", window ", window, ", seed ", seed);
        const i64 total = rows.sequences.rows();
        Whole qkv(total, shape.columns());
        const i64 v = shape.q_columns() + shape.kv_heads * shape.width;
        for (i64 row = 0; row < total; ++row) {
          for (i64 c = v; c < shape.columns(); ++c) qkv.at(row, c) = static_cast<double>(row * row + c);
        }
        const Whole d_o(total, shape.q_columns());
        const auto attention = make_attention(kind, shape, rows.stream(), test_world().rank(), "test");
        const Results mine = run(*attention, shape, qkv.of_rank(rows.cuts), d_o.of_rank(rows.cuts));

        i64 wrong = 0;
        std::vector<i64> mine_rows;  // of the stream
        for (const RowRange& range : rows.cuts.ranges(test_world().rank())) {
          for (i64 row = range.begin; row < range.end; ++row) mine_rows.push_back(row);
        }
        REQUIRE(mine.o->rows() == static_cast<i64>(mine_rows.size()));
        for (i64 i = 0; i < mine.o->rows(); ++i) {
          const i64 row = mine_rows[static_cast<std::size_t>(i)];
          const auto& starts = rows.sequences.starts;
          const auto start = std::upper_bound(starts.begin(), starts.end(), row) - 1;
          const i64 prefix = seed > 0 ? rows.prefixes[static_cast<std::size_t>(start - starts.begin())] : 0;
          double sum = 0, count = 0;
          for (i64 key = *start; key < *(start + 1); ++key) {
            const bool seen = key < *start + prefix || (key <= row && (window == 0 || key > row - window));
            if (!seen) continue;
            sum += static_cast<double>(key * key);
            ++count;
          }
          for (i64 h = 0; h < shape.heads; ++h) {
            for (i64 c = 0; c < shape.width; ++c) {
              const double expected = sum / count + static_cast<double>(v + h / 2 * shape.width + c);
              const double got = mine.o->host<double>()[i * shape.q_columns() + h * shape.width + c];
              wrong += !(std::abs(got - expected) <= 1e-12 * std::abs(expected));
            }
          }
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("with equal scores the gradient of the values is the adjoint of the result") {
  for (AttentionKind kind : kKinds) {
    for (i64 window : kWindows) {
      const AttentionShape shape = causal(window);
      for (u64 seed = 10; seed < 13; ++seed) {
        const Rows rows = make_rows(seed, seed > 10, between(kind));
        INFO(name_of(kind), ", window ", window, ", seed ", seed);
        Whole qkv = Whole::normal(rows.sequences.rows(), shape.columns(), seed, "v");
        for (i64 row = 0; row < rows.sequences.rows(); ++row) {
          for (i64 c = 0; c < shape.q_columns(); ++c) qkv.at(row, c) = 0;
        }
        const Whole d_o = Whole::normal(rows.sequences.rows(), shape.q_columns(), seed, "d_o");
        const auto attention = make_attention(kind, shape, rows.stream(), test_world().rank(), "test");
        const OwnedTensor x_rows = qkv.of_rank(rows.cuts), y_rows = d_o.of_rank(rows.cuts);
        const Tensor x = x_rows, y = y_rows;
        const Results mine = run(*attention, shape, x, y);
        double forward = 0, backward = 0, size = 0;
        for (i64 i = 0; i < mine.o->elements(); ++i) {
          forward += mine.o->host<double>()[i] * y.host<double>()[i];
          size += std::abs(mine.o->host<double>()[i] * y.host<double>()[i]);
        }
        const i64 v = shape.q_columns() + shape.kv_heads * shape.width;
        for (i64 row = 0; row < x.rows(); ++row) {
          for (i64 c = v; c < shape.columns(); ++c)
            backward += x.host<double>()[row * shape.columns() + c] *
                        mine.d_qkv->host<double>()[row * shape.columns() + c];
        }
        const auto total = [](double value) { return test_world().all_reduce_sum(value, {}); };
        CHECK(std::abs(total(forward) - total(backward)) <= 1e-12 * total(size));
      }
    }
  }
}

// ---- sequences that lie inside others: window attention of a vision tower

TEST_CASE("blocks with other sequences than the images share their cuts, and stay local between images") {
  for (u64 seed = 0; seed < 8; ++seed) {
    Rows images = make_rows(seed, false, false), windows;
    const Philox random(seed, "windows");
    u64 draw = 0;
    for (i64 s = 0; s < images.sequences.count(); ++s) {
      i64 left = images.sequences.starts[static_cast<std::size_t>(s) + 1] -
                 images.sequences.starts[static_cast<std::size_t>(s)];
      while (left > 0) {
        const i64 rows = std::min(left, 1 + static_cast<i64>(random.below(16, draw++)));
        windows.sequences.append(rows);
        left -= rows;
      }
    }
    for (AttentionKind kind : different_for(Tower::vision)) {
      Geometry g;
      g.images = images.sequences;
      images.cuts = windows.cuts = vision_cuts(g, test_world().size(), between(kind));
      check_equals_one_rank(kind, kShape, images, seed);
      check_equals_one_rank(kind, kShape, windows, seed);
      if (!between(kind)) continue;
      const auto alone = make_attention(kind, kShape, windows.stream(), test_world().rank(), "test");
      const i64 me = test_world().rank();
      CHECK(test::traced_exchanges(*alone, kShape, me, test_world().size(), windows.cuts.rows(me)).empty());
    }
  }
}

// ---- pieces of causal sequences

TEST_CASE("heads of groups of ranks and keys that pass between the groups, for other heads and nodes") {
  // Ragged heads, KV heads that several ranks of a group share, more ranks than heads, groups within nodes.
  const std::vector<AttentionShape> shapes{
      {.heads = 7, .kv_heads = 7, .width = 4, .causal = true, .window = 0},
      {.heads = 5, .kv_heads = 1, .width = 4, .causal = true, .window = 9},
      {.heads = 2, .kv_heads = 1, .width = 4, .causal = true, .window = 0},
      {.heads = 1, .kv_heads = 1, .width = 4, .causal = true, .window = 0}};
  u64 seed = 500;
  for (const AttentionShape& shape : shapes) {
    for (i64 node : {0, 2, 4}) {
      for (int trial = 0; trial < 4; ++trial, ++seed) {
        Rows rows = make_rows(seed, trial % 2 == 1, false);
        rows.node = node;
        check_equals_one_rank(AttentionKind::hybrid, shape, rows, seed);
      }
    }
  }
}

// ---- what gathering fetches

// Rows of keys that each rank gets from others, in the forward pass.
i64 fetched(const AttentionShape& shape, const AttentionStream& stream) {
  const auto attention = make_attention(AttentionKind::gather, shape, stream, test_world().rank(), "test");
  const i64 me = test_world().rank();
  const Schedule exchanges =
      test::traced_exchanges(*attention, shape, me, test_world().size(), stream.cuts.rows(me));
  const Counts& counts = exchanges.entries().front().counts;
  const i64 elements = counts.total_received_by(me) - counts.at(me, me);
  return exact_div(elements, shape.kv_columns());
}

TEST_CASE("a rank gathers only the keys of the window before its first query") {
  PackedSequences one;
  one.append(240);
  const Cuts cuts = even_cuts(240, test_world().size());
  const i64 before = cuts.begin(test_world().rank());
  CHECK(fetched(causal(0), {one, cuts}) == before);
  CHECK(fetched(causal(1), {one, cuts}) == 0);
  CHECK(fetched(causal(6), {one, cuts}) == std::min<i64>(before, 5));
  CHECK(fetched(causal(1000), {one, cuts}) == before);

  // Two sequences: the window does not reach over the start of the second.
  PackedSequences two;
  two.append(90);
  two.append(150);
  CHECK(fetched(causal(50), {two, cuts}) == std::min<i64>(before < 90 ? before : before - 90, 49));
}

TEST_CASE("a rank gathers the rows of a prefix that lie behind its own") {
  PackedSequences one;
  one.append(240);
  const Cuts cuts = even_cuts(240, test_world().size());
  const i64 before = cuts.begin(test_world().rank()), end = cuts.end(test_world().rank());
  for (i64 prefix : {0, 1, 100, 240}) {
    const std::vector<i64> prefixes{prefix};
    CHECK(fetched(causal(0), {one, cuts, prefixes}) == before + std::max<i64>(0, prefix - end));
  }
}

TEST_CASE("in a zigzag of one causal sequence a rank gathers all up to the end of its later piece") {
  PackedSequences one;
  one.append(240);
  const Cuts cuts = zigzag_cuts(240, test_world().size());
  const i64 me = test_world().rank(), ranks = test_world().size();
  CHECK(fetched(causal(0), {one, cuts}) == cuts.piece(2 * ranks - 1 - me).end - cuts.rows(me));
}

TEST_CASE("streams whose parts do not fit are refused") {
  PackedSequences two;
  two.append(5);
  two.append(7);
  const Cuts cuts = even_cuts(12, test_world().size()), other = even_cuts(11, test_world().size());
  const auto make = [&](const AttentionShape& shape, const AttentionStream& stream) {
    make_attention(AttentionKind::ulysses, shape, stream, test_world().rank(), "language");
  };
  const std::vector<i64> good{5, 0}, longer{6, 0}, few{1};
  CHECK_NOTHROW(make(causal(3), {two, cuts, good}));
  CHECK_THROWS_WITH(make(causal(0), {two, other}),
                    doctest::Contains("language sequences of 12 rows in a stream of 11"));
  CHECK_THROWS_WITH(make(causal(0), {two, cuts, longer}),
                    doctest::Contains("sequence 0 of 5 rows has a prefix of 6"));
  CHECK_THROWS_WITH(make(causal(0), {two, cuts, few}), doctest::Contains("1 prefixes for 2 language"));
  CHECK_THROWS_WITH(make(kShape, {two, cuts, good}), doctest::Contains("not causal"));
}

}  // namespace
}  // namespace longsight::parallel
