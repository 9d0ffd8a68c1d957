#include "launch/planning/planner.h"

#include <map>
#include <set>

#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include "launch/planning/plan_report.h"
#include "launch/planning/units.h"
#include "model/pass.h"
#include "tests/launch/planning/plan_shapes.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::planning;
using namespace longsight::parallel;

namespace {

// One long sample: nothing to gain from data groups.
BatchStatistics one_long() {
  return of({{65536, 4, 200}});
}

const BlockDecision& block(const PlanResult& result, const std::string& name) {
  for (const BlockDecision& b : result.blocks) {
    if (b.name == name) return b;
  }
  FAIL("no block " << name);
  return result.blocks.front();
}

// "local, ulysses, gather", as messages list them.
std::string names_for(Tower tower) {
  std::vector<std::string> names;
  for (const AttentionKind kind : legal_for(tower)) names.emplace_back(name_of(kind));
  return fmt::format("{}", fmt::join(names, ", "));
}

bool mentions(const PlanResult& result, const std::string& alternative) {
  for (const Rejected& r : result.rejected) {
    if (contains(r.alternative, alternative)) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("every plan is legal and decides each block once, for random shapes, worlds and samples") {
  std::mt19937 random(5);
  for (int trial = 0; trial < 150; ++trial) {
    const i64 kv = draw(random, 1, 4), heads = kv * draw(random, 1, 8);
    const TracedModel m = tiny_shape(draw(random, 1, 16), heads, kv);
    BatchStatistics batch = of(random_samples(random, tile_of(m), draw(random, 1, 20)));
    batch.micro_batch_tokens = draw(random, 0, 1) * draw(random, 20, 200);
    const i64 world = draw(random, 1, 24);
    const PlanResult result = make_plan(request_of(m, world, batch));

    const Mesh& mesh = result.plan.mesh;
    CHECK(mesh == make_mesh(world, mesh.sequence));
    CHECK(static_cast<i64>(result.plan.vision.size()) == model_facts(m->config()).vision.blocks);
    CHECK(static_cast<i64>(result.plan.language.size()) == model_facts(m->config()).language.blocks);
    for (AttentionKind kind : result.plan.vision) {
      CHECK((kind == AttentionKind::local) == (mesh.sequence == 1));
      if (kind == AttentionKind::ulysses) CHECK(mesh.sequence <= m->config().vision.heads);
    }
    for (AttentionKind kind : result.plan.language) {
      CHECK(kind != AttentionKind::images);
      CHECK((kind == AttentionKind::local) == (mesh.sequence == 1));
      if (kind == AttentionKind::ulysses) CHECK(mesh.sequence <= m->config().text.heads);
    }
    std::map<std::string, int> times;
    for (const BlockDecision& b : result.blocks) {
      ++times[b.name];
      CHECK(!b.reason.empty());
      CHECK(!b.strategy.empty());
      CHECK(b.head_efficiency > 0);
      CHECK(b.head_efficiency <= 1);
    }
    for (const auto& [name, count] : times) CHECK_MESSAGE(count == 1, name);
    // Attention and MLP of each block, two embeddings, connector, head.
    CHECK(static_cast<i64>(result.blocks.size()) ==
          2 * (model_facts(m->config()).vision.blocks + model_facts(m->config()).language.blocks) + 4);
    for (i64 i = 0; i < model_facts(m->config()).vision.blocks; ++i) {
      CHECK(block(result, fmt::format("vision.{}", i)).strategy ==
            name_of(result.plan.vision[static_cast<std::size_t>(i)]));
    }
    // What a pass needs of a plan.
    const BatchShape packed = pack_statistics(batch.samples, tile_of(m));
    counted_inputs(packed, *m, result.plan, mesh.sequence - 1);
    CHECK(result.step.seconds > 0);
    CHECK((world > 1) == (result.step.exchange_bytes > 0));
    CHECK(result.step.memory.total() > 3 * m->parameters().values().bytes());
    // What could have been chosen is no faster.
    for (const Rejected& r : result.rejected) {
      if (!contains(r.reason, "would hold none"))
        CHECK(r.predicted_seconds >= result.step.seconds * (1 - 1e-9));
    }
  }
}

TEST_CASE(
    "predicted bytes of a step are the sums of what the strategies of every micro-batch put into their "
    "schedules") {
  std::mt19937 random(6);
  for (int trial = 0; trial < 30; ++trial) {
    const TracedModel m = tiny_shape(draw(random, 1, 6), 6, 3);
    BatchStatistics batch = of(random_samples(random, tile_of(m), draw(random, 1, 9)));
    batch.micro_batch_tokens = 60;
    PlanOptions options;
    options.sequence = 4;
    options.vision = AttentionKind::gather;
    options.language = AttentionKind::ulysses;
    options.rules = {{"language.1", AttentionKind::gather}};
    const PlanResult result = make_plan(request_of(m, 8, batch, options));

    std::vector<i64> tokens;
    for (const SampleStatistics& s : batch.samples) tokens.push_back(s.tokens);
    i64 vision = 0, language = 0;
    model::PassMemory traced(Backend::trace);
    for (const auto& dealt : deal_samples(tokens, 2, 60)) {
      for (const std::vector<i64>& members : dealt) {
        std::vector<SampleStatistics> samples;
        for (i64 s : members) samples.push_back(batch.samples[static_cast<std::size_t>(s)]);
        const BatchShape packed = pack_statistics(samples, tile_of(m));
        // Every rank lists the whole group's exchanges.
        const auto trace =
            trace_pass(*m, counted_inputs(packed, *m, result.plan, 3), true, traced, "sequence");
        for (const ScheduleEntry& entry : trace.schedule.entries()) {
          i64 bytes = 0;
          for (i64 r = 0; r < 4; ++r) bytes += 4 * (entry.counts.total_sent_by(r) - entry.counts.at(r, r));
          if (entry.label.starts_with("vision")) vision += bytes;
          if (entry.label.starts_with("language")) language += bytes;
        }
      }
    }
    std::map<std::string, i64> parts(result.step.exchange_by_part.begin(),
                                     result.step.exchange_by_part.end());
    CHECK(parts["vision"] == vision);
    CHECK(parts["language"] == language);
    CHECK(parts["gradients"] == 2 * 7 * 4 * m->parameters().gradients().elements());
    CHECK(result.step.exchange_bytes ==
          vision + language + parts["gradients"] + parts["fusion"] + parts["loss"]);
  }
}

TEST_CASE("one rank runs everything locally") {
  const PlanResult result = make_plan(request_of(llava_shape(16, 32, 8), 1, one_long()));
  CHECK(result.plan.vision == std::vector<AttentionKind>(23, AttentionKind::local));
  CHECK(result.plan.language == std::vector<AttentionKind>(32, AttentionKind::local));
  CHECK(result.step.exchange_bytes == 0);
  CHECK(result.rejected.empty());
}

TEST_CASE("many short samples are spread over data groups, one long sample over a sequence group") {
  const TracedModel m = tiny_shape(4, 8, 8);
  const std::vector<SampleStatistics> many(64, {40, 1, 10});
  CHECK(make_plan(request_of(m, 8, of(many))).plan.mesh.sequence == 1);
  const PlanResult lonely = make_plan(request_of(m, 8, of({{20000, 1, 10}})));
  CHECK(lonely.plan.mesh.sequence == 8);
  CHECK(lonely.plan.language == std::vector<AttentionKind>(3, AttentionKind::ulysses));
  CHECK(mentions(lonely, "sequence 1 (data 8)"));
  CHECK(mentions(lonely, "language attention gather"));
}

TEST_CASE("without lengths of samples there is no plan, and the message asks for them") {
  const Failure nothing = failure_of([] { make_plan(request_of(tiny_shape(4, 8, 8), 8, {})); });
  CHECK(nothing.code == ExitCode::usage);
  CHECK(contains(nothing.message, "nothing is known about the length of samples"));
  CHECK(contains(nothing.message, "--tokens"));
}

TEST_CASE("slow links keep a short sample on one rank") {
  Asked asked = request_of(tiny_shape(4, 8, 8), 8, of({{16, 1, 3}}));
  asked.request.hardware.link->latency = 1;
  CHECK(make_plan(asked).plan.mesh.sequence == 1);
}

TEST_CASE("a step lasts as long as on its slowest data group") {
  const auto seconds = [](std::vector<SampleStatistics> samples) {
    PlanOptions options;
    options.sequence = 1;
    return make_plan(request_of(tiny_shape(4, 8, 8), 2, of(std::move(samples)), options)).step.seconds;
  };
  const double alone = seconds({{1000, 1, 10}});
  CHECK(seconds({{1000, 1, 10}, {20, 1, 10}}) == alone);
  CHECK(seconds({{20, 1, 10}, {1000, 1, 10}}) == alone);
  CHECK(seconds({{1000, 1, 10}, {1000, 1, 10}, {20, 1, 10}}) > alone);
}

TEST_CASE("a memory budget makes ranks share sequences that alone would be faster to split") {
  const TracedModel m = tiny_shape(4, 8, 8);
  const BatchStatistics batch = of(std::vector<SampleStatistics>(8, {4000, 1, 10}));
  const PlanResult free = make_plan(request_of(m, 8, batch));
  CHECK(free.plan.mesh.sequence == 1);
  PlanOptions options;
  BatchStatistics longer = batch;
  longer.micro_batch_tokens = 4000;
  // Between what degree 1 and degree 8 need, with one sample a micro-batch.
  options.sequence = 8;
  const i64 least = make_plan(request_of(m, 8, longer, options)).step.memory.total();
  options.sequence = {};
  options.recompute = Recompute::none;
  options.zero = 0;
  options.memory_budget = (least + free.step.memory.total()) / 2;
  const PlanResult tight = make_plan(request_of(m, 8, longer, options));
  CHECK(tight.plan.mesh.sequence > 1);
  CHECK(tight.step.memory.total() <= options.memory_budget);
  CHECK(contains(tight.sequence_reason, "over the memory budget: degree 1"));
  CHECK(tight.refusal.empty());
  require_fits(tight);
  options.memory_budget = 1;
  const PlanResult hopeless = make_plan(request_of(m, 8, longer, options));
  CHECK(contains(hopeless.sequence_reason, "needs least"));
  CHECK(contains(hopeless.refusal, "more than the memory budget of 1 B (memory.budget)"));
  CHECK(failure_of([&] { require_fits(hopeless); }) == Failure{ExitCode::usage, hopeless.refusal});
}

TEST_CASE("a memory budget decides what is dealt over the ranks") {
  const TracedModel m = tiny_shape(4, 8, 8);
  const BatchStatistics batch = of(std::vector<SampleStatistics>(8, {64, 1, 10}));
  const i64 ranks = 8;
  PlanOptions fixed;  // all but that
  fixed.sequence = ranks;
  fixed.vision = AttentionKind::gather;
  fixed.language = AttentionKind::ulysses;
  fixed.recompute = Recompute::none;
  std::vector<MemoryByPart> memory;
  for (const int stage : {0, 1, 2, 3}) {
    CAPTURE(stage);
    PlanOptions options = fixed;
    options.zero = stage;
    const PlanResult result = make_plan(request_of(m, ranks, batch, options));
    CHECK(result.plan.zero == stage);
    CHECK(result.zero_reason == "asked for by parallel.zero");
    memory.push_back(result.step.memory);
    const MemoryByPart &whole = memory.front(), &now = memory.back();
    // At most an element more of each bucket.
    const auto dealt = [&](i64 bytes, i64 of_all) {
      CHECK(bytes >= of_all / ranks);
      CHECK(bytes <= of_all / ranks + 1024);
    };
    if (stage >= 1) dealt(now.optimizer, whole.optimizer);
    if (stage >= 2) dealt(now.gradients, whole.gradients);
    if (stage >= 3) dealt(now.parameters, whole.parameters);
    if (stage > 0) CHECK(now.total() < memory[memory.size() - 2].total());

    options = fixed;
    options.memory_budget = now.total();
    const PlanResult chosen = make_plan(request_of(m, ranks, batch, options));
    CHECK(chosen.plan.zero == stage);
    CHECK(chosen.warnings.empty());
    CHECK(contains(chosen.zero_reason, stage == 0
                                           ? "all fits on every rank"
                                           : "with all on every rank and nothing computed again it needs"));
  }
  PlanOptions alone;
  alone.zero = 3;
  const PlanResult one = make_plan(request_of(m, 1, batch, alone));
  CHECK(one.plan.zero == 0);
  CHECK(one.zero_reason == "one rank holds all");
}

TEST_CASE("a memory budget decides how much backward computes again") {
  const TracedModel m = tiny_shape(4, 8, 8);
  const BatchStatistics batch = of(std::vector<SampleStatistics>{{4000, 1, 10}});
  std::vector<StepPrediction> steps;
  for (const Recompute level : {Recompute::none, Recompute::mlp, Recompute::attention, Recompute::block}) {
    PlanOptions options;
    options.recompute = level;
    const PlanResult result = make_plan(request_of(m, 1, batch, options));
    CHECK(result.plan.recompute == level);
    CHECK(result.memory_reason == "asked for by memory.recompute");
    if (!steps.empty()) {
      CHECK(result.step.memory.total() < steps.back().memory.total());
      CHECK(result.step.seconds > steps.back().seconds);
    }
    steps.push_back(result.step);
    options = {.memory_budget = result.step.memory.total()};
    const PlanResult chosen = make_plan(request_of(m, 1, batch, options));
    CHECK(chosen.plan.recompute == level);
    CHECK(chosen.refusal.empty());
    CHECK(contains(chosen.memory_reason,
                   level == Recompute::none ? "all that backward needs fits" : "none needs"));
  }
  PlanOptions hopeless;
  hopeless.memory_budget = steps.back().memory.total() - 1;
  const PlanResult result = make_plan(request_of(m, 1, batch, hopeless));
  CHECK(result.plan.recompute == Recompute::block);
  CHECK_FALSE(result.refusal.empty());
}

TEST_CASE("of what fits the fastest is taken: smaller micro-batches before what is computed again") {
  const TracedModel m = tiny_shape(4, 8, 8);
  const std::vector<SampleStatistics> samples(8, {400, 1, 10});
  const auto plan_of = [&](std::optional<i64> limit, std::optional<Recompute> recompute, i64 budget = 0) {
    PlanOptions options;
    options.recompute = recompute;
    options.memory_budget = budget;
    return make_plan(request_of(m, 1, {samples, limit}, options));
  };
  const PlanResult whole = plan_of(0, Recompute::none), halves = plan_of(1600, Recompute::none),
                   single = plan_of(400, Recompute::none), least = plan_of(400, Recompute::block);
  CHECK(whole.step.memory.total() > halves.step.memory.total());
  CHECK(halves.step.memory.total() > single.step.memory.total());
  CHECK(single.step.memory.total() > least.step.memory.total());

  const PlanResult free = plan_of({}, {});
  CHECK(free.plan.micro_batch_tokens == 0);
  CHECK(free.plan.recompute == Recompute::none);
  CHECK(free.batch.micro_batches == 1);
  CHECK(free.memory_reason == "no memory budget");
  const PlanResult tight = plan_of({}, {}, whole.step.memory.total() - 1);
  CHECK(tight.plan.micro_batch_tokens == 1600);
  CHECK(tight.batch.micro_batches == 2);
  CHECK(tight.plan.recompute == Recompute::none);
  CHECK(tight.step.memory.total() == halves.step.memory.total());
  CHECK(contains(tight.memory_reason, fmt::format("none needs {}", bytes_text(whole.step.memory.total()))));
  // What would have been faster is listed with its price.
  bool told = false;
  for (const Rejected& r : tight.rejected)
    told = told || (r.alternative == "recompute none" && r.memory_bytes == whole.step.memory.total() &&
                    r.predicted_seconds == whole.step.seconds);
  CHECK(told);
  const PlanResult tighter = plan_of({}, {}, single.step.memory.total() - 1);
  CHECK(tighter.plan.recompute != Recompute::none);
  CHECK(tighter.refusal.empty());
  const PlanResult tightest = plan_of({}, {}, least.step.memory.total());
  CHECK(tightest.plan.micro_batch_tokens == 400);
  CHECK(tightest.plan.recompute == Recompute::block);
  CHECK(tightest.refusal.empty());
  CHECK_FALSE(plan_of({}, {}, least.step.memory.total() - 1).refusal.empty());
  // What is asked for stays.
  CHECK(plan_of(0, {}, whole.step.memory.total() - 1).batch.micro_batches == 1);
  const PlanResult kept = plan_of({}, Recompute::none, single.step.memory.total());
  CHECK(kept.plan.recompute == Recompute::none);
  CHECK(kept.plan.micro_batch_tokens == 400);
}

TEST_CASE("ranks that hold nothing and links that take most of the time are warned of") {
  const TracedModel m = tiny_shape(4, 8, 8);
  PlanOptions options;
  options.sequence = 4;
  options.vision = AttentionKind::images;
  const auto warns = [](const PlanResult& r, const std::string& of_what) {
    return std::any_of(r.warnings.begin(), r.warnings.end(),
                       [&](const std::string& warning) { return contains(warning, of_what); });
  };
  // One picture cannot be shared between pictures; four can.
  const PlanResult one = make_plan(request_of(m, 4, of({{4000, 1, 10}}), options));
  CHECK(warns(one, "3 of 4 ranks of a sequence group hold no picture's rows"));
  CHECK_FALSE(warns(make_plan(request_of(m, 4, of({{4000, 4, 10}}), options)), "no picture's rows"));
  options.vision = {};
  CHECK(warns(make_plan(request_of(m, 4, of({{3, 0, 1}}), options)),
              "1 of 4 ranks of a sequence group hold no token"));
  CHECK_FALSE(warns(one, "hold no token"));

  Asked slow = request_of(m, 4, of({{4000, 4, 10}}), options);
  CHECK_FALSE(warns(make_plan(slow), "links between the ranks of a node"));
  slow.request.hardware.link->bandwidth = 1e5;
  CHECK(warns(make_plan(slow), "links between the ranks of a node"));
  slow.request.hardware.link->bandwidth = 4e9;
  slow.request.hardware.ranks_per_node = 2;
  slow.request.hardware.network = Link{1e5, 0};
  CHECK(warns(make_plan(slow), "network between nodes"));
}

TEST_CASE("a plan that does not fit says what would") {
  const TracedModel m = tiny_shape(4, 8, 8);
  PlanOptions options;
  options.recompute = Recompute::block;
  const auto asked = [&](i64 world, i64 budget) {
    options.memory_budget = budget;
    return make_plan(request_of(m, world, of({{40000, 1, 10}}), options));
  };
  const i64 of_two = asked(2, 0).step.memory.total();
  CHECK(contains(asked(1, of_two).refusal, "2 ranks of as much memory that share each sequence"));
  CHECK(asked(2, of_two).refusal.empty());
  const i64 stays = m->parameters().values().bytes() + 3 * m->parameters().gradients().bytes();
  CHECK(contains(asked(1, stays).refusal,
                 fmt::format("Parameters, gradients and moments alone take {}", bytes_text(stays))));
}

TEST_CASE(
    "the passes of another step take longer with its FLOPs, the sum of gradients and the update do not") {
  PlanResult planned;
  planned.flops = 1e9;
  planned.step.seconds = 10;
  planned.step.seconds_by_part = {{"vision", 2}, {"language", 5}, {"gradients", 2}, {"optimizer", 1}};
  CHECK(predicted_seconds(planned, 1e9) == 10);
  CHECK(predicted_seconds(planned, 2e9) == 17);
  CHECK(predicted_seconds(planned, 0) == 3);
}

TEST_CASE(
    "FLOPs of a step are the same on any number of ranks, and what is computed again is not among them") {
  const TracedModel m = tiny_shape(4, 8, 4);
  std::vector<double> flops;
  for (const i64 world : {1, 2, 3}) {
    for (const Recompute level : {Recompute::none, Recompute::block}) {
      PlanOptions options;
      options.sequence = world;
      options.recompute = level;
      flops.push_back(make_plan(request_of(m, world, of({{90, 2, 20}, {31, 0, 7}}), options)).flops);
    }
  }
  for (double f : flops) CHECK(f == flops.front());
  CHECK(flops.front() > 0);
}

TEST_CASE(
    "28 query heads and 4 key-value heads run on 8 ranks, and the reason tells the fullest rank's share") {
  PlanOptions options;
  options.sequence = 8;
  options.language = AttentionKind::ulysses;
  const PlanResult result = make_plan(request_of(llava_shape(16, 28, 4, 23, 28), 8, one_long(), options));
  const BlockDecision& b = block(result, "language.0");
  CHECK(b.strategy == "ulysses");
  CHECK(b.heads == 28);
  CHECK(b.kv_heads == 4);
  CHECK(b.head_efficiency == doctest::Approx(0.875));
  CHECK(b.reason ==
        "asked for by parallel.language.attention; the fullest rank has 4 of 28 heads (efficiency 88 %)");
  CHECK(result.warnings.empty());
}

TEST_CASE(
    "where ranks work on some of the rows the language model is cut in a zigzag, and the plan tells the "
    "gain") {
  const TracedModel m = llava_shape(16, 28, 4, 23, 28);
  PlanOptions options;
  options.sequence = 8;
  options.language = AttentionKind::gather;
  const PlanResult zigzag = make_plan(request_of(m, 8, one_long(), options));
  CHECK(zigzag.plan.split == Split::zigzag);
  CHECK(zigzag.language_split == "zigzag");
  CHECK(contains(zigzag.split_reason, "in equal ranges: 1."));
  CHECK(mentions(zigzag, "language split equal"));
  CHECK(contains(zigzag.plan.text(), "language split: zigzag"));
  options.split = Split::equal;
  const PlanResult equal = make_plan(request_of(m, 8, one_long(), options));
  CHECK(equal.plan.split == Split::equal);
  CHECK(equal.split_reason == "asked for by parallel.fusion.split");
  CHECK(equal.step.seconds > zigzag.step.seconds);
  // Where every rank has all rows there is nothing to gain.
  options.split = {};
  options.language = AttentionKind::ulysses;
  CHECK(make_plan(request_of(m, 8, one_long(), options)).plan.split == Split::equal);
  options.split = Split::zigzag;
  options.language = AttentionKind::local;
  CHECK(failure_of([&] { make_plan(request_of(m, 8, one_long(), options)); }) ==
        Failure{ExitCode::usage,
                "parallel.fusion.split: zigzag cuts samples anywhere, but parallel.language.attention makes "
                "language.0 local, which holds whole ones"});
}

TEST_CASE(
    "with more ranks than heads and a slow network heads are shared within nodes, and the ring passes "
    "between them") {
  PlanOptions options;
  options.sequence = 16;
  const TracedModel m = llava_shape(8, 8, 8, 3, 3);
  Asked asked = request_of(m, 16, of({{200000, 0, 50}}), options);
  asked.request.hardware.ranks_per_node = 4;
  asked.request.hardware.network = Link{.bandwidth = asked.request.hardware.link->bandwidth / 20,
                                        .latency = asked.request.hardware.link->latency};
  const PlanResult result = make_plan(asked);
  CHECK(result.plan.language == std::vector<AttentionKind>(3, AttentionKind::hybrid));
  CHECK(result.plan.split == Split::zigzag);
  CHECK(result.plan.node == 4);
  CHECK(block(result, "language.0").head_efficiency == 1);
  CHECK(contains(block(result, "language.0").reason,
                 "4 neighbouring ranks share the heads, keys and values go round 4 such groups"));
  CHECK(mentions(result, "language attention ring"));
  CHECK(mentions(result, "language split equal"));
}

TEST_CASE("ulysses with more ranks than query heads is exact but never chosen by auto") {
  PlanOptions options;
  options.sequence = 16;
  const TracedModel m = llava_shape(12, 28, 4);
  const PlanResult open = make_plan(request_of(m, 16, of({{20000, 3, 50}}), options));
  for (AttentionKind kind : open.plan.vision) CHECK(kind != AttentionKind::ulysses);
  bool told = false;
  for (const Rejected& r : open.rejected)
    told = told || (r.alternative == "vision attention ulysses" &&
                    r.reason == "16 ranks for 12 query heads: 4 would hold none");
  CHECK(told);
  options.vision = AttentionKind::ulysses;
  const PlanResult asked = make_plan(request_of(m, 16, of({{20000, 3, 50}}), options));
  CHECK(asked.plan.vision == std::vector<AttentionKind>(23, AttentionKind::ulysses));
  REQUIRE(asked.warnings.size() == 1);
  CHECK(asked.warnings[0] ==
        "vision attention ulysses over 16 ranks with 12 query heads: 4 ranks hold none and wait");
}

TEST_CASE("many equal images stay whole, one image is shared") {
  PlanOptions options;
  options.sequence = 4;
  const TracedModel m = llava_shape(16, 32, 32);
  const PlanResult many = make_plan(request_of(m, 4, of({{16 * 600, 16, 50}}), options));
  CHECK(many.plan.vision == std::vector<AttentionKind>(23, AttentionKind::images));
  CHECK(many.vision_split == "between images");
  const PlanResult one = make_plan(request_of(m, 4, of({{1000, 1, 50}}), options));
  CHECK(one.plan.vision != std::vector<AttentionKind>(23, AttentionKind::images));
  CHECK(one.vision_split == "equal rows");
}

TEST_CASE("rules override blocks, later ones win") {
  PlanOptions options;
  options.sequence = 4;
  options.vision = AttentionKind::gather;
  options.rules = {{"vision.0-3", AttentionKind::images},
                   {"vision.2, vision.5", AttentionKind::ulysses},
                   {"language.*", AttentionKind::gather},
                   {"language.31", AttentionKind::local}};
  const PlanResult result = make_plan(request_of(llava_shape(16, 32, 8), 4, one_long(), options));
  using enum AttentionKind;
  std::vector<AttentionKind> vision(23, gather);
  vision[0] = vision[1] = vision[3] = images;
  vision[2] = vision[5] = ulysses;
  CHECK(result.plan.vision == vision);
  std::vector<AttentionKind> language(32, gather);
  language[31] = local;
  CHECK(result.plan.language == language);
  CHECK(block(result, "vision.0").reason == "asked for by parallel.rules[0] (vision.0-3)");
  CHECK(block(result, "vision.2").reason == "asked for by parallel.rules[1] (vision.2, vision.5)");
  CHECK(block(result, "vision.4").reason == "asked for by parallel.vision.attention");
  // One block that moves nothing decides the cut of its tower.
  CHECK(result.vision_split == "between images");
  CHECK(result.language_split == "between samples");
}

TEST_CASE("blocks that no rule names stay auto beside those that one names") {
  PlanOptions options;
  options.sequence = 4;
  options.rules = {{"vision.0", AttentionKind::gather}};
  const PlanResult result =
      make_plan(request_of(llava_shape(16, 32, 32), 4, of({{16 * 600, 16, 50}}), options));
  CHECK(result.plan.vision[0] == AttentionKind::gather);
  CHECK(result.plan.vision[1] == AttentionKind::images);
}

TEST_CASE("requests that cannot be are usage errors that say what there is") {
  const auto failure = [](PlanOptions options, i64 world = 8) {
    return failure_of(
        [&] { make_plan(request_of(llava_shape(16, 32, 8), world, one_long(), std::move(options))); });
  };
  const auto rule = [&](std::string blocks, AttentionKind kind = AttentionKind::gather) {
    return failure({.rules = {{std::move(blocks), kind}}});
  };
  CHECK(rule("vision.30-40") == Failure{ExitCode::usage,
                                        "parallel.rules[0]: blocks \"vision.30-40\" names no block; there "
                                        "are vision.0-22, language.0-31 (also \"vision.*\", \"*\")"});
  CHECK(rule("vision.20-23") == Failure{ExitCode::usage,
                                        "parallel.rules[0]: blocks \"vision.20-23\" goes beyond the last "
                                        "block; there are vision.0-22, language.0-31"});
  for (const char* blocks : {"visoin.0", "vision", "vision.", "vision.-1", "vision.3-1", "vision.a", "",
                             "language.0,", "vision.0x"}) {
    const Failure f = rule(blocks);
    CHECK_MESSAGE(f.code == ExitCode::usage, blocks);
    CHECK_MESSAGE(contains(f.message, "names no block"), f.message);
  }
  CHECK(rule("language.3", AttentionKind::images) ==
        Failure{ExitCode::usage,
                "parallel.rules[0]: images is a strategy of vision blocks; the language model has " +
                    names_for(Tower::language)});
  CHECK(rule("*", AttentionKind::images).code == ExitCode::usage);
  CHECK(failure({.language = AttentionKind::images}).message ==
        "parallel.language.attention: images is a strategy of vision blocks; the language model has " +
            names_for(Tower::language));
  CHECK(failure({.sequence = 3}) ==
        Failure{ExitCode::usage, "parallel.sequence: 3 does not divide 8 ranks; use one of 1, 2, 4, 8"});
}

TEST_CASE("names of settings are told apart from mistakes, and from what is not there yet") {
  CHECK(attention_from_name("gather", "k") == AttentionKind::gather);
  for (const Strategy& strategy : strategies())
    CHECK(attention_from_name(strategy.name, "k") == strategy.kind);
  CHECK(split_from_name("equal", "k") == Split::equal);
  CHECK(split_from_name("zigzag", "k") == Split::zigzag);
  CHECK(failure_of([] { split_from_name("zigzags", "parallel.fusion.split"); }) ==
        Failure{ExitCode::usage,
                "parallel.fusion.split: zigzags is not one of equal, zigzag; did you mean zigzag?"});
  CHECK(failure_of([] { attention_from_name("ulyses", "k"); }) ==
        Failure{ExitCode::usage,
                fmt::format("k: ulyses is not one of {}; did you mean ulysses?", names_for(Tower::vision))});
  CHECK(fusion_from_name("owner", "k") == FusionKind::owner);
  CHECK(fusion_from_name("gather", "k") == FusionKind::gather);
  CHECK(failure_of([] { fusion_from_name("x", "k"); }).code == ExitCode::usage);
  const std::vector<std::string> available{"none", "auto"}, planned{"1", "2", "3"};
  require_available("auto", "parallel.zero", available, planned);
  CHECK(failure_of([&] { require_available("2", "parallel.zero", available, planned); }) ==
        Failure{ExitCode::usage, "parallel.zero: 2 is not available yet (available: none, auto)"});
}

TEST_CASE("a plan is the same every time, and is made for thousands of ranks") {
  BatchStatistics batch = equal_samples(i64{1} << 22, 8192, 8, 500);
  const Asked request = request_of(llava_shape(16, 64, 8, 23, 80), 4096, batch);
  const PlanResult first = make_plan(request), second = make_plan(request);
  CHECK(plan_json(first).dump() == plan_json(second).dump());
  CHECK(first.plan.mesh.world == 4096);
  CHECK(first.batch.samples == 512);
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
  const Failure failure = failure_of([&] {
    pack_statistics(std::vector<SampleStatistics>{{17, 2, 0}}, tile_of(tiny_shape(2, 2, 1)));
  });
  CHECK(failure ==
        Failure{ExitCode::bad_data, "a sample of 17 tokens with 2 images of 18 visual tokens together"});
}

TEST_CASE("the JSON has the keys of the command contract") {
  PlanOptions options;
  options.sequence = 4;
  const PlanResult result = make_plan(request_of(llava_shape(16, 28, 4), 8, one_long(), options));
  const auto json = plan_json(result);
  for (const char* key :
       {"mesh", "blocks", "split", "memory", "exchange_bytes", "predicted_seconds", "rejected"})
    CHECK(json.contains(key));
  CHECK(json["mesh"]["world"] == 8);
  CHECK(json["mesh"]["data"] == 2);
  CHECK(json["mesh"]["sequence"] == 4);
  i64 sum = 0;
  for (const auto& [part, bytes] : json["memory"].items()) sum += part == "total" ? 0 : bytes.get<i64>();
  CHECK(json["memory"]["total"] == sum);
  CHECK(json["blocks"].size() == result.blocks.size());
  const auto& b = json["blocks"][1];
  CHECK(b["name"] == "vision.0");
  CHECK(b["kind"] == "vision_attention");
  CHECK(b["heads"] == 16);
  CHECK(b["kv_heads"] == 16);
  CHECK(b["recompute"] == "none");
  CHECK(b["strategy"] == name_of(result.plan.vision[0]));
  for (const auto& other : json["rejected"]) {
    CHECK(other["alternative"].is_string());
    CHECK(other["predicted_seconds"].is_number());
    CHECK(other["exchange_bytes"].is_number_integer());
  }
}

TEST_CASE("the table joins blocks that differ in their number only") {
  PlanOptions options;
  options.sequence = 8;
  options.language = AttentionKind::ulysses;
  options.rules = {{"vision.0-3", AttentionKind::gather}};
  const std::string text = plan_table(make_plan(request_of(llava_shape(16, 28, 4), 8, one_long(), options)));
  CHECK(contains(text, "8 ranks = data 1 x sequence 8\n"));
  CHECK(contains(text, "\n  vision.0-3 "));
  CHECK(contains(text, "\n  vision.4-22 "));
  CHECK(contains(text, "\n  vision.0-22.mlp "));
  CHECK(contains(text, "\n  language.0-31 "));
  CHECK(contains(text, "28 / 4      ulysses   88 %      asked for by parallel.language.attention"));
  CHECK(contains(text, "one CPU core (assumed: nothing was measured)"));
}

TEST_CASE("memory is drawn by part, as shares of the budget or of what is needed") {
  PlanResult result = make_plan(request_of(tiny_shape(4, 8, 8), 1, of({{400, 1, 10}})));
  MemoryByPart& memory = result.step.memory;
  memory = {.parameters = 200 << 20, .gradients = 100 << 20, .activations = 1};
  result.memory_budget = i64{400} << 20;
  result.budget_source = "memory.budget";
  const std::string text = plan_table(result);
  // 50 columns are 400 MiB; a part that needs anything has a mark.
  CHECK(
      contains(text, "memory of the fullest rank: 300 MiB, 75 % of the budget of 400 MiB (memory.budget)\n"));
  CHECK(contains(text, "  parameters     200 MiB  " + std::string(25, '#') + "\n"));
  CHECK(contains(text, "  gradients      100 MiB  " + std::string(13, '#') + "\n"));
  CHECK(contains(text, "  optimizer      0 B\n"));
  CHECK(contains(text, "  activations    1 B      #\n"));
  CHECK(contains(text, "  free           100 MiB  " + std::string(13, '.') + "\n"));
  result.memory_budget = 0;
  CHECK(contains(plan_table(result), "  parameters     200 MiB  " + std::string(34, '#') + "\n"));
  CHECK_FALSE(contains(plan_table(result), "  free"));
}

TEST_CASE("figures are written with three digits and a unit") {
  CHECK(seconds_text(12.345) == "12.3 s");
  CHECK(seconds_text(0.00123) == "1.23 ms");
  CHECK(seconds_text(0.0000421) == "42.1 us");
  CHECK(seconds_text(0.99999) == "1.00 s");
  CHECK(seconds_text(5400) == "90.0 min");
  CHECK(seconds_text(36000) == "10.0 h");
  CHECK(seconds_text(0) == "0 s");
  CHECK(bytes_text(i64{3} << 40) == "3.00 TiB");
  CHECK(bytes_text(12) == "12 B");
  CHECK(bytes_text(1536) == "1.50 KiB");
  CHECK(bytes_text(i64{200} << 20) == "200 MiB");
}
