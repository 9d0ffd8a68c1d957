// Whole steps, evaluation and generation on the stream of a trace, whose memory nobody may touch: whatever
// looks at an element outside the ops ends here, by name of the op before it.
#include <doctest/doctest.h>
#include <omp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/training/train_step.h"
#include "model/decoder.h"
#include "tests/support/families.h"
#include "tests/support/tiny_model.h"
#include "tests/support/trace_fault.h"

namespace longsight::launch {
namespace {

std::unique_ptr<model::Vlm> traced_model(const nlohmann::json& config,
                                         const model::AdapterConfig& adapters = {}) {
  auto model = std::make_unique<model::Vlm>(model::read_model_config(config, "config.json"), adapters);
  if (adapters.rank > 0) model->parameters().set_trainable([](const Parameter& p) { return p.adapter; });
  model->parameters().allocate(DType::F32, true, Backend::trace);
  return model;
}

std::vector<model::Sample> samples_for(const model::Vlm& model) {
  const bool images = model.config().has_vision();
  return test::tiny_samples(model.config(), {{29, images ? 2 : 0}, {13, 0}, {21, images ? 1 : 0}});
}

struct Layout {
  parallel::Mesh mesh;
  i64 rank;
  parallel::AttentionKind vision, language;
};

const std::vector<Layout> kLayouts{
    {{1, 1, 1}, 0, parallel::AttentionKind::local, parallel::AttentionKind::local},
    {{2, 2, 1}, 1, parallel::AttentionKind::ulysses, parallel::AttentionKind::gather},
    {{6, 3, 2}, 4, parallel::AttentionKind::images, parallel::AttentionKind::ulysses},
    {{4096, 64, 64}, 13, parallel::AttentionKind::gather, parallel::AttentionKind::ulysses}};

// A training step with the comparison of replicas, and an evaluation, as a rank of the layout runs them.
// `between` comes between the two. Returns where the host touched memory.
std::string run_traced(model::Vlm& model, const Layout& layout, Trace& trace,
                       const std::function<void()>& between = {}, int zero = 0) {
  auto plan = parallel::uniform_plan(layout.mesh, model.vision().blocks(), layout.vision,
                                     model.language().blocks(), layout.language, parallel::FusionKind::owner);
  plan.zero = zero;
  const ParameterRegistry::Pretence dealt(model.parameters(), plan.sharding(layout.rank));
  const auto samples = samples_for(model);
  const StepBatch batch = deal_step(samples, model, plan, layout.rank, 0);
  parallel::MeshGroups groups(layout.mesh, layout.rank);
  return test::fault_of(trace, [&] {
    StepRunner runner(model, plan, groups, trace.stream());
    TrainState state{.model = model, .optimizer = parallel::AdamW(model.parameters())};
    const StepOptions options{.adamw = {.lr = 1e-3}, .end = StepRunner::End::replica_check};
    queue_train_step(state, batch, options, runner);
    if (between) between();
    runner.queue_evaluation(batch);
    CHECK_THROWS(finish_train_step(state, batch, runner));  // a number cannot be had
  });
}

TEST_CASE("steps and evaluations of every family read no memory outside the ops") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    const auto model = traced_model(family.config);
    for (const Layout& layout : kLayouts) {
      CAPTURE(family.name);
      CAPTURE(layout.mesh.text());
      Trace trace;
      CHECK(run_traced(*model, layout, trace) == "");
      CHECK(trace.flops() > 0);
    }
  }
}

TEST_CASE("neither do those of parameters that are dealt over the ranks") {
  for (const model::AdapterConfig& adapters :
       {model::AdapterConfig{}, model::AdapterConfig{.rank = 2, .alpha = 4, .targets = {"*"}}}) {
    const auto model = traced_model(test::tiny_config(), adapters);
    for (const Layout& layout : kLayouts) {
      for (const int zero : {1, 2, 3}) {
        CAPTURE(layout.mesh.text());
        CAPTURE(zero);
        Trace trace;
        CHECK(run_traced(*model, layout, trace, {}, zero) == "");
      }
    }
  }
}

TEST_CASE("neither do those of any strategy") {
  const auto model = traced_model(test::tiny_config());
  for (const parallel::Strategy& strategy : parallel::strategies()) {
    CAPTURE(strategy.name);
    const bool of_text = strategy.legal_for(parallel::Tower::language);
    Trace trace;
    CHECK(run_traced(*model,
                     {.mesh = {4, 4, 1},
                      .rank = 2,
                      .vision = strategy.kind,
                      .language = of_text ? strategy.kind : parallel::AttentionKind::ulysses},
                     trace) == "");
  }
}

TEST_CASE("neither do those of adapters") {
  const auto model = traced_model(test::tiny_config(), {.rank = 2, .alpha = 4, .targets = {"*"}});
  for (const Layout& layout : kLayouts) {
    Trace trace;
    CHECK(run_traced(*model, layout, trace) == "");
  }
}

// What `run` says in a process of its own, which leaves nothing behind.
std::string in_own_process(const std::function<std::string()>& run) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    omp_set_num_threads(1);  // the threads of the parent are not here
    const std::string said = run();
    _exit(write(ends[1], said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  close(ends[1]);
  char said[4096];
  const ssize_t bytes = read(ends[0], said, sizeof said);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(bytes >= 0);
  CHECK(status == 0);
  return {said, static_cast<size_t>(bytes)};
}

TEST_CASE("a look at a parameter in the middle of a step is found") {
  const auto model = traced_model(test::tiny_config());
  Trace trace;
  volatile float seen = 0;
  const std::string fault = in_own_process([&] {
    return run_traced(*model, kLayouts[1], trace,
                      [&] { seen = *static_cast<const float*>(model->parameters().value(0).data()); });
  });
  CHECK(fault == "the host touches memory of the trace behind hash in part \"vision\"");
}

// Bytes by which the most memory in use grew; -1 where it failed.
i64 growth_of(const std::function<bool()>& run) {
  const auto most = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return i64{usage.ru_maxrss} << 10;
  };
  return std::stoll(in_own_process([&] {
    const i64 before = most();
    return std::to_string(run() ? most() - before : -1);
  }));
}

TEST_CASE("a step of 4,096 ranks that share one sequence takes no table of their pairs") {
  const auto model = traced_model(test::tiny_config());
  for (const auto kind : {parallel::AttentionKind::ulysses, parallel::AttentionKind::gather}) {
    const i64 grown = growth_of([&] {
      Trace trace;
      return run_traced(*model, {{4096, 4096, 1}, 2, kind, kind}, trace).empty();
    });
    CHECK(grown >= 0);
    // A table of counts has 8 bytes a pair; under sanitizers all that is used weighs more than it does.
    CHECK(grown < 4 * i64{4096} * 4096);
  }
}

TEST_CASE("generation by a model of every family reads no memory outside the ops") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    CAPTURE(family.name);
    const auto model = traced_model(family.config);
    const auto samples = samples_for(*model);
    Trace trace;
    const std::string fault = test::fault_of(trace, [&] {
      model::Decoder decoder(*model, trace.stream());
      decoder.likeliest(decoder.start(samples.front(), 3));
      decoder.likeliest(decoder.step(1));
      CHECK(decoder.length() == samples.front().tokens() + 1);
    });
    CHECK(fault == "");
    CHECK(std::string(trace.calls().back().op) == "argmax");
  }
}

}  // namespace
}  // namespace longsight::launch
