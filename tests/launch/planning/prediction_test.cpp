#include "launch/planning/prediction.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "launch/planning/typical_step.h"
#include "parallel/attention/attention_spans.h"
#include "parallel/attention/head_split.h"
#include "tests/launch/planning/plan_shapes.h"
#include "tests/support/failure.h"
#include "tests/support/families.h"
#include "tests/support/traced_attention.h"

using namespace longsight;
using namespace longsight::planning;
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

constexpr std::array kRanks{1, 2, 3, 4, 5, 8, 13};

std::vector<std::string> texts(const Schedule& schedule) {
  std::vector<std::string> all;
  for (const ScheduleEntry& e : schedule.entries())
    all.push_back(fmt::format("{} {:x}", e.label, e.counts.fingerprint()));
  return all;
}

Plan uniform(i64 ranks, const TracedModel& m, AttentionKind vision, AttentionKind language) {
  const ModelFacts facts = model_facts(m->config());
  return uniform_plan(make_mesh(ranks, ranks), facts.vision.blocks, vision, facts.language.blocks, language,
                      FusionKind::owner);
}

Cost part(const PassPrediction& prediction, const std::string& name) {
  for (const auto& [part, cost] : prediction.parts) {
    if (part == name) return cost;
  }
  return {};
}

PassPrediction predicted(const TracedModel& m, const BatchShape& batch, const Plan& plan) {
  const HardwareProfile hardware;
  CountedPass pass(*m, batch, plan);
  return PassPredictor(*m, hardware).predict(pass, plan, false);
}

// The same model, of which only what `decide` says is trained.
template <class F>
TracedModel that_trains(const nlohmann::json& config, F&& decide) {
  auto m = std::make_shared<model::Vlm>(model::read_model_config(config, "test"));
  m->parameters().set_trainable(decide);
  m->parameters().allocate(DType::F32, true, Backend::trace);
  return m;
}

}  // namespace

// The exchanges of all strategies, a rank's part of them compared with what the others say, on every rank.
TEST_CASE("what a strategy sends back is what it sent, and every rank says the same of all") {
  std::mt19937 random(1);
  const TileFacts tile = tile_of(tiny_shape(2, 2, 1));
  for (int trial = 0; trial < 20; ++trial) {
    const i64 kv = draw(random, 1, 4), heads = kv * draw(random, 1, 4);
    const AttentionShape language{.heads = heads,
                                  .kv_heads = kv,
                                  .width = 8,
                                  .causal = true,
                                  .window = draw(random, 0, 1) * draw(random, 1, 60)};
    const AttentionShape vision{.heads = heads, .kv_heads = heads, .width = 8, .causal = false, .window = 0};
    const BatchShape batch = pack_statistics(random_samples(random, tile, draw(random, 1, 6)), tile);
    for (int ranks : kRanks) {
      for (const Strategy& s : strategies()) {
        const bool between = s.ranges == Strategy::Ranges::between_sequences;
        const auto compare = [&](const AttentionShape& shape, const PackedSequences& sequences,
                                 const Cuts& cuts) {
          const auto of_rank = [&](i64 rank) {
            const auto attention = make_attention(s.kind, shape, {sequences, cuts}, rank, "x");
            return test::traced_exchanges(*attention, shape, rank, ranks, cuts.rows(rank));
          };
          const Schedule first = of_rank(0);
          for (i64 rank = 1; rank < ranks; ++rank) CHECK(texts(first) == texts(of_rank(rank)));
          if (first.empty()) return;
          if (s.kind == AttentionKind::ring) {
            // In forward and backward the keys go round alike; gradients go by other ways
            // (ring_route_test.cpp).
            const auto& entries = first.entries();
            for (std::size_t round = 0; round < entries.size() / 3; ++round)
              CHECK(entries[entries.size() / 3 + 2 * round].counts.fingerprint() ==
                    entries[round].counts.fingerprint());
            return;
          }
          CHECK(first.entries().back().counts.fingerprint() ==
                first.entries().front().counts.transposed().fingerprint());
        };
        compare(language, batch.frame.samples,
                between ? cuts_at(batch.frame.samples.starts, ranks)
                        : even_cuts(batch.frame.samples.rows(), ranks));
        if (!between) compare(language, batch.frame.samples, zigzag_cuts(batch.frame.samples.rows(), ranks));
        compare(vision, batch.frame.images, vision_cuts(batch.frame, ranks, between));
      }
    }
  }
}

TEST_CASE(
    "no strategy makes a table of ranks x ranks: a list of a hundred thousand ranks is compared at once") {
  const i64 ranks = 100'000;
  const AttentionShape shape{.heads = 8, .kv_heads = 2, .width = 8, .causal = true, .window = 0};
  PackedSequences one;
  one.append(3 * ranks);
  for (AttentionKind kind : legal_for(Tower::language)) {
    if (kind == AttentionKind::ring || kind == AttentionKind::hybrid) {  // as many rounds as ranks or groups
      const auto ring = [&] { make_attention(kind, shape, {one, even_cuts(one.rows(), ranks)}, 0, ""); };
      CHECK(failure_of(ring).code == ExitCode::usage);
      continue;
    }
    const Cuts cuts =
        cuts_between_sequences({&kind, 1}) ? cuts_at(one.starts, ranks) : even_cuts(one.rows(), ranks);
    const auto of_rank = [&](i64 rank) {
      const auto attention = make_attention(kind, shape, {one, cuts}, rank, "");
      return test::traced_exchanges(*attention, shape, rank, ranks, cuts.rows(rank));
    };
    const std::vector<u64> said = pair_hashes(of_rank(5), Side::says, 5, ranks);
    CHECK(said[7] == pair_hashes(of_rank(7), Side::expects, 7, ranks)[5]);
  }
}

TEST_CASE("a step of thousands of sequence ranks is traced without a table of them") {
  const TracedModel m = llava_shape(16, 64, 8, 4, 4);
  const BatchShape batch =
      pack_statistics(std::vector<SampleStatistics>{{i64{1} << 20, 64, 1000}}, tile_of(m));
  const PassPrediction prediction =
      predicted(m, batch, uniform(4096, m, AttentionKind::gather, AttentionKind::gather));
  // Every rank reads the keys of all rows before it: nearly half of 4,096 x 2^20 rows, of each of 4 blocks,
  // forth and back.
  const double rows = static_cast<double>(i64{1} << 20), columns = 2 * 8 * 128;
  const double moved = rows * 4095 / 2 * columns * 4 * 4 * 2;
  CHECK(static_cast<double>(part(prediction, "language").wire.total) == doctest::Approx(moved).epsilon(1e-9));
}

// ---- shares of causal work

namespace {

// FLOPs of the rank that has most of them, over the mean of all, as each rank's trace tells.
double fullest_share(const TracedModel& m, const BatchShape& batch, const Plan& plan) {
  model::PassMemory traced(Backend::trace);
  double most = 0, sum = 0;
  for (i64 rank = 0; rank < plan.mesh.sequence; ++rank) {
    const model::PassInputs inputs = counted_inputs(batch, *m, plan, rank);
    const double flops = trace_pass(*m, inputs, true, traced, "sequence", false).work.flops();
    most = std::max(most, flops);
    sum += flops;
  }
  return most * static_cast<double>(plan.mesh.sequence) / sum;
}

}  // namespace

TEST_CASE("one long causal sample in a zigzag is as much work for every one of 8 ranks") {
  const TracedModel m = llava_shape(4, 64, 8, 4, 2);
  // Attention outweighs all else by far; every token has a target, as the projection is spread evenly anyway.
  const BatchShape batch =
      pack_statistics(std::vector<SampleStatistics>{{i64{1} << 17, 0, (i64{1} << 17) - 1}}, tile_of(m));
  for (AttentionKind kind : {AttentionKind::ring, AttentionKind::gather, AttentionKind::hybrid}) {
    Plan plan = uniform(8, m, AttentionKind::ulysses, kind);
    INFO(name_of(kind));
    // The last of equal ranges sees 15 / 8 of the mean, and of two groups of 4 ranks the last 3 / 2.
    CHECK(fullest_share(m, batch, plan) > 1.3);
    plan.split = Split::zigzag;
    CHECK(fullest_share(m, batch, plan) <= 1.001);
  }
}

namespace {

// What fusion and the loss exchange, against a walk over all tokens.
void check_rows(const BatchShape& batch, const Geometry& g, const Layout& layout) {
  const i64 ranks = layout.ranks;
  std::vector<Counts::Pair> features, targets;
  std::vector<i64> owned(static_cast<std::size_t>(ranks));
  for (i64 f = 0; f < g.features(); ++f) {
    const i64 owner = layout.vision.owner(g.feature_rows[static_cast<std::size_t>(f)]);
    features.push_back({owner, layout.language.owner(g.feature_positions[static_cast<std::size_t>(f)]), 1});
    ++owned[static_cast<std::size_t>(owner)];
  }
  const Cuts projected = even_cuts(g.supervised(), ranks);
  std::vector<i64> holders;  // of the targets, as the ranks hold them one behind the other
  for (i64 position : g.supervised_positions) holders.push_back(layout.language.owner(position));
  std::sort(holders.begin(), holders.end());
  for (i64 s = 0; s < g.supervised(); ++s)
    targets.push_back({holders[static_cast<std::size_t>(s)], projected.owner(s), 1});
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

}  // namespace

TEST_CASE("fusion and loss move the rows that a walk over all tokens finds, and back") {
  std::mt19937 random(2);
  const TileFacts tile = tile_of(tiny_shape(4, 4, 2));
  for (int trial = 0; trial < 60; ++trial) {
    const BatchShape batch = pack_statistics(random_samples(random, tile, draw(random, 1, 6)), tile);
    const Geometry g = geometry_of(batch);
    for (int ranks : kRanks) {
      const Layout layout =
          make_layout(uniform_plan(make_mesh(ranks, ranks), 1,
                                   draw(random, 0, 1) == 0 ? AttentionKind::images : AttentionKind::ulysses,
                                   1, AttentionKind::gather, FusionKind::owner),
                      g);
      check_rows(batch, g, layout);
      Layout zigzag = layout;
      zigzag.language = zigzag_cuts(g.samples.rows(), ranks);
      check_rows(batch, g, zigzag);
    }
  }
}
TEST_CASE("a geometry becomes the same runs as the statistics that it was made from") {
  std::mt19937 random(3);
  const TileFacts tile = tile_of(tiny_shape(2, 2, 1));
  const BatchShape batch = pack_statistics(random_samples(random, tile, 12), tile);
  const BatchShape again = batch_shape(geometry_of(batch));
  CHECK(again.frame.samples.starts == batch.frame.samples.starts);
  CHECK(again.frame.images.starts == batch.frame.images.starts);
  CHECK(again.feature_count() == batch.feature_count());
  CHECK(again.supervised_count() == batch.supervised_count());
  for (i64 ranks : {2, 5}) {
    const Cuts cuts = even_cuts(batch.frame.samples.rows(), ranks);
    CHECK(wire_of(loss_exchanges(again.supervised, cuts).forth.counts, 4) ==
          wire_of(loss_exchanges(batch.supervised, cuts).forth.counts, 4));
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

TEST_CASE("the fullest rank decides where heads are uneven: 28 heads on 8 ranks cost as many as 4 on each") {
  i64 most = 0;
  for (i64 r = 0; r < 8; ++r) most = std::max(most, head_range(28, 4, 8, r).q);
  CHECK(most == 4);
  const TracedModel m = llava_shape(4, 28, 4, 1, 1);
  const BatchShape batch = pack_statistics(std::vector<SampleStatistics>{{800, 0, 10}}, tile_of(m));
  const auto flops = [&](i64 ranks) {
    const AttentionKind kind = ranks == 1 ? AttentionKind::local : AttentionKind::ulysses;
    return part(predicted(m, batch, uniform(ranks, m, kind, kind)), "language").attention_flops;
  };
  CHECK(flops(8) == flops(1) * 4 / 28);
}

TEST_CASE("a gradient sum moves each slice to its rank and each sum to all") {
  CHECK(all_reduce_wire(100, 1, 4) == Wire{});
  // 4 ranks: 3 slices of 25 elements out, and the sum of its own slice to 3 ranks, by each of 4.
  CHECK(all_reduce_wire(100, 4, 4) == Wire{.total = 4 * 2 * 75 * 4, .fullest = 2 * 75 * 4, .messages = 6});
  // On nodes of two, two of the three others are on the other one.
  CHECK(all_reduce_wire(100, 4, 4, 2) == Wire{.total = 4 * 2 * 75 * 4,
                                              .fullest = 2 * 75 * 4,
                                              .messages = 6,
                                              .fullest_between = 2 * 50 * 4,
                                              .messages_between = 4});
  CHECK(all_reduce_wire(100, 4, 4, 8) == all_reduce_wire(100, 4, 4));
}

TEST_CASE(
    "seconds are those of each call by its size, of the links within nodes and of the network between") {
  HardwareProfile h;
  h.gemm = {{1e6, 1e9}, {1e8, 4e9}};
  h.attention = {{0, 5e8}};
  h.copy = {{0, 1e8}};
  h.link = Link{1e3, 0.25};
  h.network = Link{100, 2};
  Cost cost;
  cost.add_call({.op = "linear", .flops = 1e7}, h);  // in the middle of the logarithms: 2e9 a second
  CHECK(cost.compute_seconds == doctest::Approx(5e-3));
  cost.add_call({.op = "linear", .flops = 1e5}, h);  // below the smallest: its rate
  CHECK(cost.compute_seconds == doctest::Approx(5e-3 + 1e-4));
  cost.add_call({.op = "linear", .flops = 8e8}, h);
  cost.add_call({.op = "attention_backward", .flops = 1e9, .bytes = 7}, h);
  cost.add_call({.op = "rms_norm", .bytes = 5e7}, h);
  CHECK(cost.compute_seconds == doctest::Approx(5e-3 + 1e-4 + 0.2 + 2 + 0.5));
  CHECK(cost.gemm_flops == 1e7 + 1e5 + 8e8);
  CHECK(cost.attention_flops == 1e9);
  CHECK(cost.touched_bytes == 5e7);
  cost.wire = {.total = 1, .fullest = 5000, .messages = 7, .fullest_between = 2000, .messages_between = 4};
  CHECK(cost.link_seconds(h) == doctest::Approx(3 + 3 * 0.25));
  CHECK(cost.network_seconds(h) == doctest::Approx(20 + 4 * 2.));
  CHECK(cost.seconds(h) == doctest::Approx(cost.compute_seconds + 3.75 + 28));
  Cost twice;
  twice.add(cost, 2);
  CHECK(twice.seconds(h) == doctest::Approx(2 * cost.seconds(h)));
}

TEST_CASE("frozen blocks have no backward exchange") {
  const nlohmann::json config = llava_config({4, 4, 4, 2, 3, 3, 97});
  const TracedModel m = traced_model(config);
  const BatchShape batch = pack_statistics(std::vector<SampleStatistics>{{40, 2, 5}}, tile_of(m));
  const Plan plan = uniform(4, m, AttentionKind::ulysses, AttentionKind::ulysses);
  const Layout layout = make_layout(plan, batch.frame);
  const AttentionShape shape = attention_shape(m->config().vision);
  const auto attention =
      make_attention(AttentionKind::ulysses, shape, {batch.frame.images, layout.vision}, 0, "vision");
  const Schedule exchanges = test::traced_exchanges(*attention, shape, 0, 4, layout.vision.rows(0));
  REQUIRE(exchanges.size() == 4);
  i64 forward = 0, backward = 0;
  for (std::size_t i = 0; i < 4; ++i)
    (i < 2 ? forward : backward) += wire_of(exchanges.entries()[i].counts, 4).total;
  const PassPrediction all = predicted(m, batch, plan);
  CHECK(part(all, "vision").wire.total == 2 * (forward + backward));
  const i64 fusion = part(all, "fusion").wire.total;
  const auto no_vision =
      predicted(that_trains(config, [](const Parameter& p) { return p.part != "vision"; }), batch, plan);
  CHECK(part(no_vision, "vision").wire.total == 2 * forward);
  CHECK(part(no_vision, "fusion").wire.total == fusion);  // the connector is still trained
  const auto text =
      predicted(that_trains(config, [](const Parameter& p) { return p.part == "language"; }), batch, plan);
  CHECK(part(text, "fusion").wire.total == fusion / 2);
}

namespace {

// Against a trace of every block: what a pass of one rank takes and computes, and what all ranks exchange.
void check_classes(model::Vlm& m, const std::vector<SampleStatistics>& samples) {
  const BatchShape batch = pack_statistics(samples, model_facts(m.config()).tile);
  for (const i64 ranks : {1, 3}) {
    const AttentionKind kind = ranks == 1 ? AttentionKind::local : AttentionKind::gather;
    const Plan plan = uniform_plan(make_mesh(ranks, ranks), m.vision().blocks(), kind, m.language().blocks(),
                                   kind, FusionKind::owner);
    const HardwareProfile hardware;
    CountedPass pass(m, batch, plan);
    const PassPrediction by_class = PassPredictor(m, hardware).predict(pass, plan, false);
    model::PassMemory traced(Backend::trace);
    const model::PassTrace whole =
        trace_pass(m, counted_inputs(batch, m, plan, 0), true, traced, "sequence", false);
    Wire moved;
    for (const ScheduleEntry& entry : whole.schedule.entries())
      moved += wire_of(entry.counts, size_of(entry.dtype));
    Cost all;
    for (const auto& [name, cost] : by_class.parts) all.add(cost);
    CHECK(all.wire == moved);
    if (ranks > 1) continue;  // which rank has most is another question
    CHECK(by_class.memory.activations == whole.saved);
    CHECK(by_class.memory.scratch + by_class.memory.loss_chunk == whole.scratch);
    CHECK(all.gemm_flops + all.attention_flops == doctest::Approx(whole.work.flops()).epsilon(1e-12));
    double touched = 0;
    for (const Work& call : whole.work.calls())
      touched += call.flops == 0 ? static_cast<double>(call.times) * call.bytes : 0;
    CHECK(all.touched_bytes == doctest::Approx(touched).epsilon(1e-12));
  }
}

}  // namespace

TEST_CASE("two blocks of each class tell what all blocks do") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    model::Vlm m(model::read_model_config(family.config, "test"));
    m.parameters().allocate(DType::F32, true, Backend::trace);
    const TileFacts tile = model_facts(m.config()).tile;
    const i64 images = m.config().has_vision() ? 2 : 0,
              patches = images * std::min(tile.patches_per_tile, 16 * tile.merge);
    check_classes(m, {{90, images, 20, patches}, {31, 0, 7}});
  }
  // Many blocks, of which some are trained, or have adapters.
  const nlohmann::json config = llava_config({4, 4, 2, 7, 9, 3, 97});
  const std::vector<SampleStatistics> samples{{90, 2, 20}, {31, 0, 7}};
  const auto block = [](const Parameter& p, const char* of, std::initializer_list<int> which) {
    return std::any_of(which.begin(), which.end(),
                       [&](int i) { return p.name.find(of + std::to_string(i) + ".") != std::string::npos; });
  };
  check_classes(*traced_model(config), samples);
  check_classes(*that_trains(config,
                             [&](const Parameter& p) {
                               return block(p, "model.layers.", {3, 4, 7});
                             }),
                samples);
  check_classes(*that_trains(config,
                             [&](const Parameter& p) {
                               return block(p, "encoder.layers.", {2, 3});
                             }),
                samples);
  check_classes(*that_trains(config, [&](const Parameter& p) { return p.name.ends_with("q_proj.weight"); }),
                samples);
  model::Vlm adapted(model::read_model_config(config, "test"),
                     {.rank = 3, .alpha = 1, .targets = {"*.layers.2.*", "*.layers.5.self_attn.*"}});
  adapted.parameters().allocate(DType::F32, true, Backend::trace);
  check_classes(adapted, samples);
}

TEST_CASE("saved bytes are the tensors that forward takes, each rounded up to 64 bytes") {
  const TracedModel m = traced_model(llava_config({2, 2, 1, 1, 1, 3, 97}));
  const BatchShape batch = pack_statistics(std::vector<SampleStatistics>{{21, 1, 4}}, tile_of(m));
  const auto bytes = [](i64 elements) { return ceil_div(4 * elements, 64) * 64; };
  const i64 c = 128, l = 256, f = 512, g = 688;
  SUBCASE("one rank") {
    const i64 vision = 2 * bytes(10 * c) + 2 * bytes(10)  // embedding, its norm
                       + 3 * bytes(10 * c) + 4 * bytes(10) + bytes(10 * 3 * c) + bytes(10 * 2) +
                       bytes(10 * f);  // block
    const i64 connector = 2 * bytes(9 * l) + bytes(9 * c);
    const i64 language = bytes(21 * l) + 2 * bytes(21 * 64)  // embeddings, angles
                         + 3 * bytes(21 * l) + 2 * bytes(21) + bytes(21 * 4 * 128) + bytes(21 * 2) +
                         bytes(21 * 2 * g);
    const MemoryByPart memory =
        predicted(m, batch, uniform(1, m, AttentionKind::local, AttentionKind::local)).memory;
    CHECK(memory.activations == 64 + vision + connector + language);  // and the loss
    CHECK(memory.inputs == 4 * 9 * 588);
  }
  SUBCASE("ulysses keeps q, k, v of its heads for all rows instead of its own projection") {
    const i64 vision = 2 * bytes(5 * c) + 2 * bytes(5) + 3 * bytes(5 * c) + 4 * bytes(5) +
                       bytes(10 * 3 * 64) + bytes(10) + bytes(5 * f);
    // The second rank has more language rows, 11, and more features, 5.
    const i64 connector = 2 * bytes(5 * l) + bytes(5 * c);
    const i64 language = bytes(11 * l) + 2 * bytes(11 * 64) + 3 * bytes(11 * l) + 2 * bytes(11) +
                         bytes(21 * 3 * 128) + bytes(21) + bytes(11 * 2 * g);
    CHECK(predicted(m, batch, uniform(2, m, AttentionKind::ulysses, AttentionKind::ulysses))
              .memory.activations == 64 + vision + connector + language);
  }
}
