#include "parallel/cost_model.h"

#include <algorithm>
#include <numeric>

#include <doctest/doctest.h>

#include "parallel/attention_spans.h"
#include "parallel/block_memory.h"
#include "parallel/fusion_exchange.h"
#include "parallel/head_split.h"
#include "parallel/loss_balance.h"
#include "parallel/memory_model.h"
#include "parallel/schedule.h"
#include "tests/parallel/plan_shapes.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::parallel;

namespace {

// The lists that BatchShape holds as runs.
Geometry geometry_of(const BatchShape& batch) {
  Geometry g = batch.frame;
  for (const FeatureRun& run : batch.features) {
    for (i64 i = 0; i < run.count; ++i) {
      g.feature_rows.push_back(run.first_row + i * run.row_step);
      g.feature_positions.push_back(run.first_position + i);
    }
  }
  for (const RowRange& range : batch.supervised) {
    for (i64 row = range.begin; row < range.end; ++row) {
      g.supervised_positions.push_back(row);
      g.targets.push_back(row % 97);
    }
  }
  return g;
}

std::vector<std::string> texts(const AttentionStrategy& strategy) {
  std::vector<std::string> all;
  for (const auto* exchanges : {&strategy.forward_exchanges(), &strategy.backward_exchanges()}) {
    for (const Exchange& e : *exchanges)
      all.push_back(fmt::format("{} {:x}", e.label, e.counts.fingerprint()));
  }
  return all;
}

constexpr std::array kRanks{1, 2, 3, 4, 5, 8, 13};

}  // namespace

// The exchanges of all strategies, a rank's part of them compared with what the others say, on every rank.
TEST_CASE("what a strategy sends back is what it sent, and every rank says the same of all") {
  std::mt19937 random(1);
  for (int trial = 0; trial < 40; ++trial) {
    const i64 kv = draw(random, 1, 4), heads = kv * draw(random, 1, 4);
    ModelShape m = tiny_shape(draw(random, 1, 9), heads, kv);
    m.language.window = draw(random, 0, 1) * draw(random, 1, 60);
    const BatchShape batch = pack_statistics(random_samples(random, m, draw(random, 1, 6)), m);
    for (int ranks : kRanks) {
      for (const Strategy& s : strategies()) {
        const bool between = s.ranges == Strategy::Ranges::between_sequences;
        const auto compare = [&](const TowerShape& t, const PackedSequences& sequences, const Cuts& cuts) {
          PaperGroup first(0, ranks);
          const auto a = make_attention(s.kind, attention_shape(t, true), {sequences, cuts}, first, t.name);
          for (int rank = 1; rank < ranks; ++rank) {
            PaperGroup group(rank, ranks);
            const auto b = make_attention(s.kind, attention_shape(t, true), {sequences, cuts}, group, t.name);
            CHECK(texts(*a) == texts(*b));
          }
          if (a->forward_exchanges().empty()) return;
          CHECK(a->backward_exchanges().back().counts.fingerprint() ==
                a->forward_exchanges().front().counts.transposed().fingerprint());
        };
        compare(m.language, batch.frame.samples,
                between ? cuts_at(batch.frame.samples.starts, ranks)
                        : even_cuts(batch.frame.samples.rows(), ranks));
        compare(m.vision, batch.frame.images, vision_cuts(batch.frame, ranks, between));
      }
    }
  }
}

TEST_CASE(
    "no strategy makes a table of ranks x ranks: a list of a hundred thousand ranks is compared at once") {
  const i64 ranks = 100'000;
  const ModelShape m = tiny_shape(4, 8, 2);
  PackedSequences one;
  one.append(3 * ranks);
  PaperGroup group(5, narrow<int>(ranks));
  for (AttentionKind kind : legal_for(Tower::language)) {
    const Cuts cuts =
        cuts_between_sequences({&kind, 1}) ? cuts_at(one.starts, ranks) : even_cuts(one.rows(), ranks);
    const auto attention = make_attention(kind, attention_shape(m.language, false), {one, cuts}, group, "");
    Schedule schedule;
    schedule.add("sequence", DType::F32, attention->forward_exchanges());
    schedule.add("sequence", DType::F32, attention->backward_exchanges());
    const std::vector<u64> said = pair_hashes(schedule, Side::says, 5, ranks);
    PaperGroup other(7, narrow<int>(ranks));
    const auto same = make_attention(kind, attention_shape(m.language, false), {one, cuts}, other, "");
    Schedule theirs;
    theirs.add("sequence", DType::F32, same->forward_exchanges());
    theirs.add("sequence", DType::F32, same->backward_exchanges());
    CHECK(said[7] == pair_hashes(theirs, Side::expects, 7, ranks)[5]);
  }
}

TEST_CASE("fusion and loss move the rows that a walk over all tokens finds, and back") {
  std::mt19937 random(2);
  for (int trial = 0; trial < 60; ++trial) {
    const ModelShape m = tiny_shape(4, 4, 2);
    const BatchShape batch = pack_statistics(random_samples(random, m, draw(random, 1, 6)), m);
    const Geometry g = geometry_of(batch);
    for (int ranks : kRanks) {
      const Layout layout =
          make_layout(uniform_plan(make_mesh(ranks, ranks), 1,
                                   draw(random, 0, 1) == 0 ? AttentionKind::images : AttentionKind::ulysses,
                                   1, AttentionKind::gather, FusionKind::owner),
                      g);
      std::vector<Counts::Pair> features, targets;
      std::vector<i64> owned(static_cast<std::size_t>(ranks));
      for (i64 f = 0; f < g.features(); ++f) {
        const i64 owner = layout.vision.owner(g.feature_rows[static_cast<std::size_t>(f)]);
        features.push_back(
            {owner, layout.language.owner(g.feature_positions[static_cast<std::size_t>(f)]), 1});
        ++owned[static_cast<std::size_t>(owner)];
      }
      const Cuts projected = even_cuts(g.supervised(), ranks);
      for (i64 s = 0; s < g.supervised(); ++s) {
        targets.push_back({layout.language.owner(g.supervised_positions[static_cast<std::size_t>(s)]),
                           projected.owner(s), 1});
      }
      const auto same = [&](const Counts& a, const Counts& b) {
        for (i64 r = 0; r < ranks; ++r) CHECK(a.sent_by(r) == b.sent_by(r));
      };
      const Counts fusion = Counts::pairs(ranks, features), loss = Counts::pairs(ranks, targets);
      const TwoWays owner = fusion_exchanges(FusionKind::owner, batch.features, layout),
                    gather = fusion_exchanges(FusionKind::gather, batch.features, layout),
                    balance = loss_exchanges(batch.supervised, layout.language);
      same(owner.forth.counts, fusion);
      same(owner.back.counts, fusion.transposed());
      same(balance.forth.counts, loss);
      same(balance.back.counts, loss.transposed());
      for (i64 r = 0; r < ranks; ++r) {
        CHECK(gather.forth.counts.received_by(r) == owned);
        CHECK(gather.back.counts.sent_by(r) == owned);
      }
    }
  }
}

TEST_CASE("a geometry becomes the same runs as the statistics that it was made from") {
  std::mt19937 random(3);
  const ModelShape m = tiny_shape(2, 2, 1);
  const BatchShape batch = pack_statistics(random_samples(random, m, 12), m);
  const BatchShape again = batch_shape(geometry_of(batch));
  CHECK(again.frame.samples.starts == batch.frame.samples.starts);
  CHECK(again.frame.images.starts == batch.frame.images.starts);
  CHECK(again.feature_count() == batch.feature_count());
  CHECK(again.supervised_count() == batch.supervised_count());
  for (i64 ranks : {2, 5}) {
    const Cuts cuts = even_cuts(batch.frame.samples.rows(), ranks);
    CHECK(loss_exchanges(again.supervised, cuts).forth.wire(4) ==
          loss_exchanges(batch.supervised, cuts).forth.wire(4));
  }
}

TEST_CASE("attention pairs count what each row sees, wherever the stream is cut") {
  PackedSequences sequences;
  for (i64 length : {3, 5, 1}) sequences.append(length);
  // By hand: causal 1+2+3, 1+2+3+4+5, 1; full 9, 25, 1.
  CHECK(attention_pairs(sequences, even_cuts(9, 1), true) == std::vector<double>{22});
  CHECK(attention_pairs(sequences, even_cuts(9, 1), false) == std::vector<double>{35});
  // Ranges 0-2, 3-5, 6-8: the second sequence is cut behind three of its rows.
  CHECK(attention_pairs(sequences, even_cuts(9, 3), true) == std::vector<double>{6, 6, 10});
  CHECK(attention_pairs(sequences, even_cuts(9, 3), false) == std::vector<double>{9, 15, 11});
  CHECK(attention_pairs(sequences, Cuts{{0, 0, 4, 4, 9}}, true) == std::vector<double>{0, 7, 0, 15});
}

TEST_CASE("attention pairs of windows and prefixes are those that the mask shows") {
  PackedSequences sequences;
  for (i64 length : {7, 0, 12}) sequences.append(length);
  const std::vector<i64> prefixes{3, 0, 5};
  for (i64 ranks : {1, 3, 4}) {
    const Cuts cuts = even_cuts(19, ranks);
    for (i64 window : {0, 1, 4, 30}) {
      std::vector<double> pairs(static_cast<std::size_t>(ranks));
      for (i64 row = 0; row < 19; ++row) {
        const i64 start = row < 7 ? 0 : 7, prefix = row < 7 ? 3 : 5;
        for (i64 key = start; key < (row < 7 ? 7 : 19); ++key) {
          const bool seen = key - start < prefix || (key <= row && (window == 0 || row - key < window));
          pairs[static_cast<std::size_t>(cuts.owner(row))] += seen;
        }
      }
      CHECK(attention_pairs(sequences, cuts, true, window, prefixes) == pairs);
    }
  }
}

TEST_CASE("blocks with windows are counted with theirs, the others with all rows") {
  ModelShape m = tiny_shape(4, 4, 4);
  BatchShape batch = pack_statistics(std::vector<SampleStatistics>{{40, 2, 5}}, m);
  const Plan plan =
      uniform_plan(make_mesh(1, 1), 2, AttentionKind::local, 3, AttentionKind::local, FusionKind::owner);
  const auto flops = [&] {
    const PassCost cost = pass_cost(m, plan, batch);
    return std::pair{cost.vision.attention_flops, cost.language.attention_flops};
  };
  const auto [vision, language] = flops();  // 2 blocks of 2 x 10 x 10 pairs, 3 of 40 x 41 / 2
  m.language.window = 4;
  m.language.windowed = {false, true, false};
  m.vision.window = 1;
  m.vision.windowed = {true, false};
  for (i64 rows : {4, 6, 4, 6}) batch.frame.windows.append(rows);
  CHECK(flops().first == vision * (200 + 104) / 400);
  CHECK(flops().second == language * (2 * 820 + 4 * 40 - 6) / (3 * 820));
  m.language.windowed.clear();
  CHECK(flops().second == language * (4 * 40 - 6) / 820);
  batch.frame.prefixes = {40};
  CHECK(flops().second == language * 1600 / 820);
}

TEST_CASE("an attention block is counted as its products, forward and backward") {
  TowerShape t = tower("language", 1, 6, 2, 8, 100);
  t.gated = t.causal = true;
  PackedSequences sequences;
  sequences.append(10);
  const Cuts cuts = even_cuts(10, 1);
  const BlockCost forward = block_cost(t, AttentionKind::local, sequences, cuts, 4, false);
  // q k v: 48 -> 80, output 48 -> 48; MLP 48 -> 200, 100 -> 48; attention: scores and result of 55 pairs, 48
  // columns.
  CHECK(forward.attention.gemm_flops == 2 * 10 * (48 * 80 + 48 * 48));
  CHECK(forward.mlp.gemm_flops == 2 * 10 * (48 * 200 + 100 * 48));
  CHECK(forward.attention.attention_flops == 2 * 2 * 55 * 48);
  const BlockCost both = block_cost(t, AttentionKind::local, sequences, cuts, 4, true);
  CHECK(both.attention.gemm_flops == 3 * forward.attention.gemm_flops);
  CHECK(both.attention.attention_flops == 3.5 * forward.attention.attention_flops);
  t.weight_gradients = false;  // frozen: gradients pass through
  CHECK(block_cost(t, AttentionKind::local, sequences, cuts, 4, true).mlp.gemm_flops ==
        2 * forward.mlp.gemm_flops);
}

TEST_CASE("the fullest rank decides where heads are uneven: 28 heads on 8 ranks cost as many as 4 on each") {
  CHECK(fullest_heads(28, 8) == 4);
  CHECK(head_efficiency(28, 8) == doctest::Approx(0.875));
  CHECK(head_efficiency(16, 32) == doctest::Approx(0.5));
  i64 most = 0;
  for (i64 r = 0; r < 8; ++r) most = std::max(most, head_range(28, 4, 8, r).q);
  CHECK(most == 4);
  TowerShape t = tower("language", 1, 28, 4, 128, 18944);
  t.causal = true;
  PackedSequences sequences;
  sequences.append(800);
  const double uneven =
      block_cost(t, AttentionKind::ulysses, sequences, even_cuts(800, 8), 4, false).attention.attention_flops;
  const double one =
      block_cost(t, AttentionKind::ulysses, sequences, even_cuts(800, 1), 4, false).attention.attention_flops;
  CHECK(uneven == one * 4 / 28);
}

TEST_CASE("a gradient sum moves each slice to its rank and each sum to all") {
  CHECK(all_reduce_wire(100, 1, 4) == Wire{});
  // 4 ranks: 3 slices of 25 elements out, and the sum of its own slice to 3 ranks, by each of 4.
  CHECK(all_reduce_wire(100, 4, 4) == Wire{.total = 4 * 2 * 75 * 4, .fullest = 2 * 75 * 4, .messages = 6});
}

TEST_CASE("frozen blocks have no backward exchange") {
  ModelShape m = tiny_shape(4, 4, 4);
  const BatchShape batch = pack_statistics(std::vector<SampleStatistics>{{40, 2, 5}}, m);
  const Plan plan =
      uniform_plan(make_mesh(4, 4), 2, AttentionKind::ulysses, 3, AttentionKind::ulysses, FusionKind::owner);
  const Layout layout = make_layout(plan, batch.frame);
  PaperGroup group(0, 4);
  const auto attention = make_attention(AttentionKind::ulysses, attention_shape(m.vision, false),
                                        {batch.frame.images, layout.vision}, group, "vision");
  const auto total = [](const std::vector<Exchange>& exchanges) {
    Wire wire;
    for (const Exchange& e : exchanges) wire += e.wire(4);
    return wire.total;
  };
  const i64 forward = total(attention->forward_exchanges()),
            backward = total(attention->backward_exchanges());
  CHECK(pass_cost(m, plan, batch).vision.wire.total == 2 * (forward + backward));
  const i64 fusion = pass_cost(m, plan, batch).fusion.wire.total;
  m.vision.backward_blocks = 0;
  m.vision_parameters.trained = 0;
  CHECK(pass_cost(m, plan, batch).vision.wire.total == 2 * forward);
  CHECK(pass_cost(m, plan, batch).fusion.wire.total == fusion);  // the connector is still trained
  m.connector_parameters.trained = 0;
  CHECK(pass_cost(m, plan, batch).fusion.wire.total == fusion / 2);
}

TEST_CASE("saved bytes are the tensors that forward takes, each rounded up to 64 bytes") {
  ModelShape m = tiny_shape(2, 2, 1);
  m.vision.blocks = m.language.blocks = 1;
  const BatchShape batch = pack_statistics(std::vector<SampleStatistics>{{21, 1, 4}}, m);
  const auto bytes = [](i64 elements) { return ceil_div(4 * elements, 64) * 64; };
  const i64 c = m.vision.width, l = m.language.width, f = m.vision.intermediate,
            g = m.language.intermediate;  // 128, 256
  SUBCASE("one rank") {
    const Plan plan =
        uniform_plan(make_mesh(1, 1), 1, AttentionKind::local, 1, AttentionKind::local, FusionKind::owner);
    const i64 vision = bytes(9 * 588) + 2 * bytes(10 * c) + 2 * bytes(10)  // patches, embedding, its norm
                       + 3 * bytes(10 * c) + 4 * bytes(10) + bytes(10 * 3 * c) + bytes(10 * 2) +
                       bytes(10 * f);  // block
    const i64 connector = 2 * bytes(9 * l) + bytes(9 * c);
    const i64 language = bytes(21 * l) + 2 * bytes(21 * 64)  // embeddings, angles
                         + 3 * bytes(21 * l) + 2 * bytes(21) + bytes(21 * 4 * 128) + bytes(21 * 2) +
                         bytes(21 * 2 * g);
    CHECK(PassMemoryModel(m, plan, batch).saved(0) == vision + connector + language);
  }
  SUBCASE("ulysses keeps q, k, v of its heads for all rows instead of its own projection") {
    const Plan plan = uniform_plan(make_mesh(2, 2), 1, AttentionKind::ulysses, 1, AttentionKind::ulysses,
                                   FusionKind::owner);
    const i64 vision = bytes(4 * 588) + 2 * bytes(5 * c) + 2 * bytes(5) + 3 * bytes(5 * c) + 4 * bytes(5) +
                       bytes(10 * 3 * 64) + bytes(10) + bytes(5 * f);
    const i64 connector = 2 * bytes(4 * l) + bytes(4 * c);
    const i64 language = bytes(10 * l) + 2 * bytes(10 * 64) + 3 * bytes(10 * l) + 2 * bytes(10) +
                         bytes(21 * 3 * 128) + bytes(21) + bytes(10 * 2 * g);
    CHECK(PassMemoryModel(m, plan, batch).saved(0) == vision + connector + language);
  }
}

TEST_CASE("samples are dealt once each, evenly, and never beyond the limit of a micro-batch") {
  const std::vector<i64> tokens{5, 9, 4, 4, 30, 1};
  const auto one = deal_samples(tokens, 1, 0);
  CHECK(one == std::vector<std::vector<std::vector<i64>>>{{{0, 1, 2, 3, 4, 5}}});
  CHECK(deal_samples(tokens, 1, 14) ==
        std::vector<std::vector<std::vector<i64>>>{{{0, 1}, {2, 3}, {4}, {5}}});
  CHECK(deal_samples(tokens, 2, 0) == std::vector<std::vector<std::vector<i64>>>{{{4}}, {{0, 1, 2, 3, 5}}});
  CHECK(deal_samples(tokens, 8, 0)[7].empty());
}

TEST_CASE("a sample that its images do not fit in is refused") {
  const ModelShape m = tiny_shape(2, 2, 1);
  const Failure failure = failure_of([&] { pack_statistics(std::vector<SampleStatistics>{{17, 2, 0}}, m); });
  CHECK(failure ==
        Failure{ExitCode::bad_data, "a sample of 17 tokens with 2 images of 18 visual tokens together"});
}
