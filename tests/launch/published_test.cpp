// The published configurations under configs/models: what they hold, and a plan for every number of ranks.
#include <algorithm>

#include <doctest/doctest.h>

#include "launch/planning/planner.h"
#include "model/files/checkpoint.h"
#include "model/files/detect.h"
#include "runtime/base/json.h"
#include "tests/launch/run_verb.h"
#include "tests/support/failure.h"
#include "tests/support/families.h"

using namespace longsight;
using namespace longsight::launch;
using model::DetectedModule;
using model::ModuleKind;

namespace {

using test::PublishedModel;

std::string path_of(const PublishedModel& p) {
  return fmt::format("configs/models/{}.json", p.name);
}

const DetectedModule& only(const std::vector<DetectedModule>& all, ModuleKind kind) {
  const auto is_kind = [kind](const DetectedModule& m) { return m.kind == kind; };
  REQUIRE(std::count_if(all.begin(), all.end(), is_kind) == 1);
  return *std::find_if(all.begin(), all.end(), is_kind);
}

}  // namespace

TEST_CASE("published models have their number of parameters, heads and visual tokens") {
  for (const PublishedModel& p : test::published_models()) {
    CAPTURE(p.name);
    const model::Vlm shape(model::read_config(path_of(p)));
    CHECK_FALSE(shape.parameters().allocated());
    i64 parameters = 0;
    for (const Parameter& parameter : shape.parameters().all()) parameters += parameter.elements();
    CHECK(parameters == p.parameters);
    const model::ModelConfig& config = shape.config();
    if (p.features > 0) CHECK(config.features_per_tile(config.tile_layout()) == p.features);
    const auto modules = model::detect_modules(model::named_shapes(shape.parameters()), config, p.name);
    const DetectedModule& language = only(modules, ModuleKind::language_attention);
    REQUIRE(config.has_vision() == (p.vision_heads > 0));
    if (config.has_vision()) {
      const DetectedModule& vision = only(modules, ModuleKind::vision_attention);
      CHECK(vision.heads == p.vision_heads);
      CHECK(vision.blocks == config.vision.layers);
      CHECK(only(modules, ModuleKind::projection).elements > 0);
    }
    CHECK(language.heads == p.heads);
    CHECK(language.kv_heads == p.kv_heads);
    CHECK(language.blocks == config.text.layers);
    for (const DetectedModule& m : modules) CHECK_MESSAGE(m.kind != ModuleKind::other, m.name);
    i64 elements = 0;
    for (const DetectedModule& m : modules) elements += m.elements;
    CHECK(elements == p.parameters);
  }
}

TEST_CASE("published models are planned on every number of ranks up to 32 that share a sequence") {
  for (const PublishedModel& p : test::published_models()) {
    CAPTURE(p.name);
    model::Vlm shape(model::read_config(path_of(p)));
    shape.parameters().allocate(DType::F32, true, Backend::trace);
    for (i64 ranks = 1; ranks <= 32; ++ranks) {
      CAPTURE(ranks);
      planning::PlanRequest request{.model = shape, .world = ranks};
      request.samples = {{.tokens = 16384, .images = shape.config().has_vision() ? 1 : 0, .supervised = 100}};
      request.options.sequence = ranks;
      request.options.language = parallel::AttentionKind::ulysses;
      const planning::PlanResult result = make_plan(request);
      CHECK(result.plan.mesh.sequence == ranks);
      CHECK(static_cast<i64>(result.plan.language.size()) == shape.language().blocks());
      i64 attention = 0;
      for (const planning::BlockDecision& block : result.blocks) {
        if (block.kind != ModuleKind::language_attention) continue;
        ++attention;
        const double most = static_cast<double>((p.heads + ranks - 1) / ranks);
        CHECK(block.head_efficiency ==
              doctest::Approx(static_cast<double>(p.heads) / (static_cast<double>(ranks) * most)));
      }
      CHECK(attention == shape.language().blocks());
      // Without a request, the planner finds something too.
      request.options.language.reset();
      CHECK(make_plan(request).step.seconds > 0);
    }
  }
}

TEST_CASE("plan takes the config.json of a model and says how well uneven heads fill the ranks") {
  const std::string text = run_verb(add_plan, {"plan", "configs/models/qwen2-vl-7b.json", "--ranks", "8",
                                               "--tokens", "8192", "--images", "4", "memory.budget=none",
                                               "parallel.sequence=8", "parallel.language.attention=ulysses"})
                               .out;
  CHECK(contains(text, "28 / 4"));
  CHECK(contains(text, "88 %"));  // 28 heads on 8 ranks: the fullest has 4, 28 / 32
  CHECK(contains(text, "qwen2_vl: 8291375616 parameters"));
  CHECK(contains(text, "visual.blocks.{0-31}.attn"));
  CHECK(contains(text, "28 heads, 4 of keys and values"));
  const Json json =
      Json::parse(run_verb(add_plan, {"plan", "configs/models/internvl3-1b.json", "--ranks", "4", "--tokens",
                                      "8192", "memory.budget=none", "parallel.sequence=4", "--json"})
                      .out);
  CHECK(json["mesh"]["sequence"] == 4);
  CHECK(json["blocks"].size() > 48);
}
