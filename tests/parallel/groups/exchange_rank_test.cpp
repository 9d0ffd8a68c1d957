// The exchanges between streams: placement (a value says where it came from) and adjoint (<Ax, y> = <x,
// A'y>), exact in small integers.
#include <doctest/doctest.h>

#include "parallel/fusion_exchange.h"
#include "parallel/loss_balance.h"
#include "runtime/base/philox.h"
#include "tests/support/rank_test.h"

namespace longsight::parallel {
namespace {

constexpr i64 kColumns = 3;
constexpr i64 kVocab = 100;

// Samples with text and images; features of an image are its rows without the class row.
Geometry make_geometry(u64 seed) {
  const Philox random(seed, "geometry");
  Geometry g;
  g.class_rows = 1;
  u64 draw = 0;
  const auto below = [&](u64 bound) { return static_cast<i64>(random.below(bound, draw++)); };
  const i64 samples = 1 + below(5);
  for (i64 s = 0; s < samples; ++s) {
    i64 tokens = 0;
    for (i64 part = below(4); part >= 0; --part) {
      tokens += below(6);
      if (below(2) == 0) continue;
      const i64 patches = 1 + below(7), first = g.images.rows() + 1, position = g.samples.rows() + tokens;
      for (i64 f = 0; f < patches; ++f) {
        g.feature_rows.push_back(first + f);
        g.feature_positions.push_back(position + f);
      }
      g.images.append(patches + 1);
      tokens += patches;
    }
    tokens += 1;
    for (i64 t = 0; t + 1 < tokens; ++t) {
      if (below(3) == 0) {
        g.supervised_positions.push_back(g.samples.rows() + t);
        g.targets.push_back(below(kVocab));
      }
    }
    g.samples.append(tokens);
  }
  return g;
}

Layout make_cuts(const Geometry& g, i64 ranks) {
  return {.ranks = ranks,
          .language = even_cuts(g.samples.rows(), ranks),
          .vision = even_cuts(g.images.rows(), ranks)};
}

OwnedTensor integers(i64 rows, u64 seed) {
  OwnedTensor x(DType::F64, {rows, kColumns});
  const Philox random(seed, fmt::format("values {}", test_world().rank()));
  for (i64 i = 0; i < x->elements(); ++i)
    x->host<double>()[i] = static_cast<double>(random.below(19, static_cast<u64>(i))) - 9;
  return x;
}

double dot(Tensor a, Tensor b) {
  double sum = 0;
  for (i64 i = 0; i < a.elements(); ++i) sum += a.host<double>()[i] * b.host<double>()[i];
  return test_world().all_reduce_sum(sum, {});
}

TEST_CASE("a visual token's row arrives at its position, and text rows stay as they are") {
  ProcessGroup& world = test_world();
  Arena saved("saved"), scratch("scratch");
  Frames frames;
  const Workspace w{saved, scratch, frames, world, {}};
  for (u64 seed = 0; seed < 20; ++seed) {
    const Geometry g = make_geometry(seed);
    const Layout layout = make_cuts(g, world.size());
    for (FusionKind kind : {FusionKind::owner, FusionKind::gather}) {
      const FusionExchange fusion(kind, g, layout, world.rank());
      OwnedTensor features(DType::F64, {static_cast<i64>(fusion.owned().size()), kColumns});
      for (i64 i = 0; i < features->rows(); ++i) {
        for (i64 c = 0; c < kColumns; ++c)
          features->host<double>()[i * kColumns + c] =
              static_cast<double>(100 * fusion.owned()[static_cast<std::size_t>(i)] + c);
      }
      OwnedTensor tokens(DType::F64, {layout.language.rows(world.rank()), kColumns});
      for (i64 i = 0; i < tokens->elements(); ++i) tokens->host<double>()[i] = -1;
      fusion.forward(tokens, features, w);
      std::vector<double> expected(static_cast<std::size_t>(tokens->elements()), -1);
      for (i64 f = 0; f < g.features(); ++f) {
        const i64 row =
            g.feature_positions[static_cast<std::size_t>(f)] - layout.language.begin(world.rank());
        if (row < 0 || row >= tokens->rows()) continue;
        for (i64 c = 0; c < kColumns; ++c)
          expected[static_cast<std::size_t>(row * kColumns + c)] = static_cast<double>(100 * f + c);
      }
      CHECK(std::equal(expected.begin(), expected.end(), tokens->host<double>()));
    }
  }
}

TEST_CASE("backward of the fusion exchange is its adjoint") {
  ProcessGroup& world = test_world();
  Arena saved("saved"), scratch("scratch");
  Frames frames;
  const Workspace w{saved, scratch, frames, world, {}};
  for (u64 seed = 0; seed < 20; ++seed) {
    const Geometry g = make_geometry(seed);
    const Layout layout = make_cuts(g, world.size());
    for (FusionKind kind : {FusionKind::owner, FusionKind::gather}) {
      const FusionExchange fusion(kind, g, layout, world.rank());
      const OwnedTensor x = integers(static_cast<i64>(fusion.owned().size()), seed),
                        y = integers(layout.language.rows(world.rank()), seed + 1);
      OwnedTensor ax(DType::F64, y->shape()), aty(DType::F64, x->shape());
      fusion.forward(ax, x, w);
      fusion.backward(aty, y, w);
      CHECK(dot(ax, y) == dot(x, aty));
    }
  }
}

TEST_CASE(
    "supervised rows are balanced with their targets, and their gradient goes back to where they were") {
  ProcessGroup& world = test_world();
  Arena saved("saved"), scratch("scratch");
  Frames frames;
  const Workspace w{saved, scratch, frames, world, {}};
  for (u64 seed = 0; seed < 20; ++seed) {
    const Geometry g = make_geometry(seed);
    const Layout layout = make_cuts(g, world.size());
    const LossBalance balance(g, layout, world.rank(), kVocab);
    const i64 begin = layout.language.begin(world.rank()), rows = layout.language.rows(world.rank());
    CHECK(balance.rows() <= (g.supervised() + world.size() - 1) / world.size());
    OwnedTensor hidden(DType::F64, {rows, kColumns}), got(DType::F64, {balance.rows(), kColumns});
    for (i64 i = 0; i < hidden->elements(); ++i)
      hidden->host<double>()[i] = static_cast<double>(begin * kColumns + i);
    balance.forward(got, hidden, w);
    const i64 first = g.supervised() * world.rank() / world.size();
    for (i64 i = 0; i < balance.rows(); ++i) {
      const auto s = static_cast<std::size_t>(first + i);
      CHECK(balance.targets().host()[static_cast<std::size_t>(i)] == g.targets[s]);
      CHECK(got->host<double>()[i * kColumns] == static_cast<double>(g.supervised_positions[s] * kColumns));
    }
    const OwnedTensor x = integers(rows, seed), y = integers(balance.rows(), seed + 1);
    OwnedTensor ax(DType::F64, y->shape()), aty(DType::F64, x->shape());
    balance.forward(ax, x, w);
    balance.backward(aty, y, w);
    CHECK(dot(ax, y) == dot(x, aty));
  }
}

}  // namespace
}  // namespace longsight::parallel
