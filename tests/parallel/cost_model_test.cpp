#include "parallel/cost_model.h"

#include <algorithm>
#include <numeric>

#include <doctest/doctest.h>

#include "parallel/attention.h"
#include "parallel/fusion_exchange.h"
#include "parallel/head_split.h"
#include "parallel/loss_balance.h"
#include "parallel/memory_model.h"
#include "tests/parallel/plan_shapes.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::parallel;

namespace {

// What a schedule moves from rank to rank, counted entry by entry.
struct Counted {
  i64 total = 0;
  i64 fullest = 0;  // the fullest rank of each entry, added up
};

Counted counted(const Schedule& schedule, i64 ranks) {
  Counted bytes;
  for (const ScheduleEntry& e : schedule.entries()) {
    const auto& counts = e.counts.all();
    std::vector<i64> sent(static_cast<std::size_t>(ranks)), received(static_cast<std::size_t>(ranks));
    for (i64 from = 0; from < ranks; ++from) {
      for (i64 to = 0; to < ranks; ++to) {
        if (from == to) continue;
        i64 n = 0;
        if (e.operation == Operation::all_to_all) n = counts[static_cast<std::size_t>(from * ranks + to)];
        if (e.operation == Operation::all_gather) n = counts[static_cast<std::size_t>(from)];
        if (e.operation == Operation::reduce_scatter) n = counts[static_cast<std::size_t>(to)];
        sent[static_cast<std::size_t>(from)] += n;
        received[static_cast<std::size_t>(to)] += n;
      }
    }
    const i64 bytes_each = size_of(e.dtype);
    bytes.total += bytes_each * std::accumulate(sent.begin(), sent.end(), i64{0});
    bytes.fullest += bytes_each * std::max(*std::max_element(sent.begin(), sent.end()),
                                           *std::max_element(received.begin(), received.end()));
  }
  return bytes;
}

AttentionShape attention_of(const TowerShape& t) {
  return {t.heads, t.kv_heads, t.head_width, t.causal, t.window};
}

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

constexpr std::array kRanks{1, 2, 3, 4, 5, 8, 13};

}  // namespace

TEST_CASE("predicted attention bytes are the sums of the count matrices that the strategies exchange") {
  std::mt19937 random(1);
  for (int trial = 0; trial < 60; ++trial) {
    const i64 kv = draw(random, 1, 4), heads = kv * draw(random, 1, 4);
    ModelShape m = tiny_shape(draw(random, 1, 9), heads, kv);
    m.language.window = draw(random, 0, 1) * draw(random, 1, 60);
    const BatchShape batch = pack_statistics(random_samples(random, m, draw(random, 1, 6)), m);
    std::vector<i64> prefixes;
    const bool with_prefixes = draw(random, 0, 1) == 1;
    for (i64 s = 0; with_prefixes && s < batch.frame.samples.count(); ++s) {
      const i64 rows = batch.frame.samples.starts[static_cast<std::size_t>(s) + 1] -
                       batch.frame.samples.starts[static_cast<std::size_t>(s)];
      prefixes.push_back(draw(random, 0, 1) * draw(random, 0, rows));
    }
    for (int ranks : kRanks) {
      for (AttentionKind kind : {AttentionKind::ulysses, AttentionKind::gather}) {
        PaperGroup group(0, ranks);
        const auto compare = [&](const TowerShape& t, const PackedSequences& sequences, const Cuts& cuts) {
          const std::span<const i64> seen(prefixes.begin(), t.causal ? prefixes.size() : 0);
          const auto strategy = make_attention(kind, attention_of(t), {sequences, cuts, seen}, group, t.name);
          Schedule forward, backward;
          strategy->schedule_forward(forward, DType::F64);
          strategy->schedule_backward(backward, DType::F64);
          const AttentionWire wire = attention_wire(t, kind, sequences, cuts, size_of(DType::F64), seen);
          CHECK(wire.forward.total == counted(forward, ranks).total);
          CHECK(wire.forward.fullest == counted(forward, ranks).fullest);
          CHECK(wire.backward.total == counted(backward, ranks).total);
          CHECK(wire.backward.fullest == counted(backward, ranks).fullest);
        };
        compare(m.language, batch.frame.samples, even_cuts(batch.frame.samples.rows(), ranks));
        compare(m.language, batch.frame.samples, cuts_at(batch.frame.samples.starts, ranks));
        compare(m.vision, batch.frame.images, vision_cuts(batch.frame, ranks, false));
        compare(m.vision, batch.frame.images, vision_cuts(batch.frame, ranks, true));
      }
    }
  }
}

TEST_CASE("predicted bytes of fusion and loss are those of their schedules") {
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
      PaperGroup group(0, ranks);
      const FeatureTraffic traffic = feature_traffic(batch, layout);
      for (FusionKind kind : {FusionKind::owner, FusionKind::gather}) {
        const auto exchange = make_fusion_exchange(kind, g, layout, group);
        Schedule forth, back;
        exchange->schedule_forward(forth, DType::F32, 7);
        exchange->schedule_backward(back, DType::F32, 7);
        const Wire wire = fusion_wire(kind, traffic, 7, 4);
        CHECK(wire.total == counted(forth, ranks).total);
        CHECK(wire.fullest == counted(forth, ranks).fullest);
        CHECK(wire.total == counted(back, ranks).total);
        CHECK(wire.fullest == counted(back, ranks).fullest);
      }
      const LossBalance balance(g, layout, group);
      Schedule loss;
      balance.schedule_forward(loss, DType::F32, 5);
      CHECK(loss_wire(batch, layout.language, 5, 4).total == counted(loss, ranks).total);
      CHECK(loss_wire(batch, layout.language, 5, 4).fullest == counted(loss, ranks).fullest);
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
    CHECK(loss_wire(again, cuts, 3, 4) == loss_wire(batch, cuts, 3, 4));
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
  const AttentionWire wire =
      attention_wire(m.vision, AttentionKind::ulysses, batch.frame.images, layout.vision, 4);
  CHECK(pass_cost(m, plan, batch).vision.wire.total == 2 * (wire.forward.total + wire.backward.total));
  const i64 fusion = pass_cost(m, plan, batch).fusion.wire.total;
  m.vision.backward_blocks = 0;
  m.vision_parameters.trained = 0;
  CHECK(pass_cost(m, plan, batch).vision.wire.total == 2 * wire.forward.total);
  CHECK(pass_cost(m, plan, batch).fusion.wire.total == fusion);  // the connector is still trained
  m.connector_parameters.trained = 0;
  CHECK(pass_cost(m, plan, batch).fusion.wire.total == fusion / 2);
}

TEST_CASE("rows by rank add up to the whole micro-batch") {
  std::mt19937 random(4);
  for (int trial = 0; trial < 40; ++trial) {
    const ModelShape m = tiny_shape(4, 8, 2);
    const BatchShape batch = pack_statistics(random_samples(random, m, draw(random, 1, 6)), m);
    const i64 ranks = draw(random, 1, 9);
    const Plan plan = uniform_plan(make_mesh(ranks, ranks), 2, AttentionKind::gather, 3,
                                   AttentionKind::gather, FusionKind::owner);
    const Layout layout = make_layout(plan, batch.frame);
    RankRows sum;
    i64 vision_needed = 0, language_needed = 0;
    for (const RankRows& r : rank_rows(m, batch, layout)) {
      sum.vision += r.vision;
      sum.class_rows += r.class_rows;
      sum.features += r.features;
      sum.language += r.language;
      sum.visual_tokens += r.visual_tokens;
      sum.supervised += r.supervised;
      vision_needed += r.vision_whole.needed - r.vision_whole.sent;
      language_needed += r.language_whole.needed - r.language_whole.sent;
    }
    CHECK(sum.vision == batch.frame.images.rows());
    CHECK(sum.class_rows == batch.frame.images.count());
    CHECK(sum.features == batch.feature_count());
    CHECK(sum.language == batch.frame.samples.rows());
    CHECK(sum.visual_tokens == batch.feature_count());
    CHECK(sum.supervised == batch.supervised_count());
    CHECK(vision_needed == 0);  // what all ranks need is what all ranks send
    CHECK(language_needed == 0);
  }
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
    const RankRows rows = rank_rows(m, batch, make_layout(plan, batch.frame)).front();
    const i64 vision = bytes(9 * 588) + 2 * bytes(10 * c) + 2 * bytes(10)  // patches, embedding, its norm
                       + 3 * bytes(10 * c) + 4 * bytes(10) + bytes(10 * 3 * c) + bytes(10 * 2) +
                       bytes(10 * f);  // block
    const i64 connector = 2 * bytes(9 * l) + bytes(9 * c);
    const i64 language = bytes(21 * l) + 2 * bytes(21 * 64)  // embeddings, angles
                         + 3 * bytes(21 * l) + 2 * bytes(21) + bytes(21 * 4 * 128) + bytes(21 * 2) +
                         bytes(21 * 2 * g);
    CHECK(saved_bytes(m, plan, rows) == vision + connector + language);
  }
  SUBCASE("ulysses keeps q, k, v of its heads for all rows instead of its own projection") {
    const Plan plan = uniform_plan(make_mesh(2, 2), 1, AttentionKind::ulysses, 1, AttentionKind::ulysses,
                                   FusionKind::owner);
    const RankRows rows = rank_rows(m, batch, make_layout(plan, batch.frame)).front();
    CHECK(rows.language == 10);
    const i64 vision = bytes(4 * 588) + 2 * bytes(5 * c) + 2 * bytes(5) + 3 * bytes(5 * c) + 4 * bytes(5) +
                       bytes(10 * 3 * 64) + bytes(10) + bytes(5 * f);
    const i64 connector = 2 * bytes(4 * l) + bytes(4 * c);
    const i64 language = bytes(10 * l) + 2 * bytes(10 * 64) + 3 * bytes(10 * l) + 2 * bytes(10) +
                         bytes(21 * 3 * 128) + bytes(21) + bytes(10 * 2 * g);
    CHECK(saved_bytes(m, plan, rows) == vision + connector + language);
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
