// Whole training steps on a simulated device, whose streams run in any order that events allow: the bits are
// those of the host, nothing is read before the end of a step, nothing is allocated after the first, and no
// event can be done without but between two calls of a group that follow each other at once.
#include <algorithm>
#include <filesystem>

#include <doctest/doctest.h>
#include <unistd.h>

#include "launch/training/train_step.h"
#include "parallel/checkpoint/restore.h"
#include "parallel/checkpoint/snapshot.h"
#include "parallel/groups/staged_group.h"
#include "parallel/sharded_parameters.h"
#include "runtime/device/simulated_device.h"
#include "runtime/io/atomic_file.h"
#include "runtime/tensor/host_values.h"
#include "tests/support/rank_test.h"
#include "tests/support/tiny_model.h"

namespace longsight::launch {
namespace {

using parallel::AttentionKind;

struct DeviceLayout {
  AttentionKind vision = AttentionKind::ulysses, language = AttentionKind::gather;
  parallel::FusionKind fusion = parallel::FusionKind::owner;
  int zero = 0;
  DType dtype = DType::F64;
  parallel::Split split = parallel::Split::equal;
};

parallel::Plan plan_of(const DeviceLayout& layout, const model::Vlm& model) {
  const i64 ranks = test_world().size(), sequence = ranks == 4 ? 2 : ranks;
  parallel::Plan plan =
      parallel::uniform_plan({ranks, sequence, ranks / sequence}, model.vision().blocks(), layout.vision,
                             model.language().blocks(), layout.language, layout.fusion);
  plan.zero = layout.zero;
  plan.split = layout.split;
  return plan;
}

// Of any type and place.
void append_values(std::vector<double>& all, Tensor x, Stream stream) {
  const OwnedTensor here = host_copy(x, stream), wide(DType::F64, x.shape());
  copy(wide, here, {});
  const std::vector<double> values = read_values<double>(wide, {});
  all.insert(all.end(), values.begin(), values.end());
}

// A rank's training, on the host or on a device.
struct OnDevice {
  OnDevice(const DeviceLayout& layout, SimulatedDevice* on)
      : device(on),
        model(test::tiny_model(layout.dtype)),
        plan(plan_of(layout, *model)),
        stream(device != nullptr ? device->compute() : Stream{}) {
    ParameterRegistry& p = model->parameters();
    p.shard(plan.sharding(test_world().rank()));
    if (device != nullptr) {
      p.move_to(stream);
      world = std::make_unique<parallel::StagedGroup>(test_world(), *device);
      buffers.emplace(*device);
    }
    groups.emplace(plan.mesh, world ? *world : test_world());
    state.emplace(TrainState{.model = *model, .optimizer = parallel::AdamW(p)});
    runner.emplace(*model, plan, *groups, stream);
  }

  StepBatch batch(u64 seed) {
    const auto samples = test::tiny_samples(model->config(), {{29, 2}, {13, 0}, {21, 1}}, seed);
    return deal_step(samples, *model, plan, test_world().rank(), 40, buffers ? &*buffers : nullptr);
  }
  static StepOptions options() {
    return {.adamw = {.lr = 1e-2, .weight_decay = 0.1}, .clip = 0.5, .end = StepRunner::End::replica_check};
  }
  // The next step's inputs are made while this one is queued, in the memory of this one's, as it happens.
  std::vector<StepResult> steps(u64 count) {
    std::vector<StepResult> results;
    StepBatch next = batch(0);
    for (u64 seed = 0; seed < count; ++seed) {
      StepBatch now = std::move(next);
      queue_train_step(*state, now, options(), *runner);
      now.upload = {};
      next = batch(seed + 1);
      results.push_back(finish_train_step(*state, now, *runner));
      runner->check_replicas();
    }
    return results;
  }
  // All that training changes.
  std::vector<double> values() const {
    std::vector<double> all;
    for (const Tensor& held : {model->parameters().values(), model->parameters().weights(),
                               state->optimizer.first_moments(), state->optimizer.second_moments()})
      append_values(all, held, stream);
    return all;
  }

  SimulatedDevice* device;
  std::unique_ptr<model::Vlm> model;
  parallel::Plan plan;
  Stream stream;
  std::unique_ptr<parallel::StagedGroup> world;
  std::optional<UploadBuffers> buffers;
  std::optional<parallel::MeshGroups> groups;
  std::optional<TrainState> state;
  std::optional<StepRunner> runner;
};

bool same(const StepResult& a, const StepResult& b) {
  return a.loss == b.loss && a.gradient_norm == b.gradient_norm && a.flops == b.flops && a.finite == b.finite;
}

void check_order(const DeviceLayout& layout, u64 seed, const std::vector<StepResult>& expected,
                 const std::vector<double>& values) {
  SimulatedDevice device({.seed = seed});
  OnDevice there(layout, &device);
  const std::vector<StepResult> results = there.steps(expected.size());
  for (std::size_t i = 0; i < results.size(); ++i) CHECK(same(results[i], expected[i]));
  CHECK(there.values() == values);
}

TEST_CASE("steps on a device have the bits of the host under 200 orders of its streams") {
  const DeviceLayout layout;
  OnDevice host(layout, nullptr);
  const std::vector<StepResult> expected = host.steps(1);
  const std::vector<double> values = host.values();
  const u64 orders = test_world().size() > 2 ? 50 : 200;  // more ranks than processors take long
  for (u64 seed = 0; seed < orders; ++seed) {
    CAPTURE(seed);
    check_order(layout, seed, expected, values);
  }
}

TEST_CASE(
    "so do those of every strategy, split and precision, and of parameters that are dealt over the ranks") {
  const std::vector<DeviceLayout> layouts{
      DeviceLayout{AttentionKind::images, AttentionKind::ulysses, parallel::FusionKind::gather, 1},
      DeviceLayout{AttentionKind::ring, AttentionKind::ring, parallel::FusionKind::owner, 2},
      DeviceLayout{AttentionKind::gather, AttentionKind::ulysses, parallel::FusionKind::owner, 3},
      DeviceLayout{AttentionKind::hybrid, AttentionKind::hybrid, parallel::FusionKind::owner, 0, DType::F64,
                   parallel::Split::zigzag},
      DeviceLayout{AttentionKind::ring, AttentionKind::ulysses, parallel::FusionKind::owner, 0, DType::BF16,
                   parallel::Split::zigzag},
      DeviceLayout{AttentionKind::hybrid, AttentionKind::gather, parallel::FusionKind::gather, 1, DType::BF16,
                   parallel::Split::zigzag},
      DeviceLayout{AttentionKind::ulysses, AttentionKind::ring, parallel::FusionKind::owner, 3, DType::BF16,
                   parallel::Split::zigzag}};
  // A new strategy needs a place here: on the host nothing shows a list that it forgets to send, or an event.
  for (const AttentionKind kind : parallel::different_for(parallel::Tower::vision)) {
    CAPTURE(name_of(kind));
    CHECK(std::any_of(layouts.begin(), layouts.end(), [&](const DeviceLayout& layout) {
      return layout.vision == kind || layout.language == kind;
    }));
  }
  for (const DeviceLayout& layout : layouts) {
    CAPTURE(layout.zero);
    OnDevice host(layout, nullptr);
    const std::vector<StepResult> expected = host.steps(2);
    const std::vector<double> values = host.values();
    for (u64 seed = 0; seed < 5; ++seed) {
      CAPTURE(seed);
      check_order(layout, seed, expected, values);
    }
  }
}

TEST_CASE("adapters are merged on a device as on the host, and what is not trained has the same hashes") {
  const auto rank = test_world().rank(), ranks = test_world().size();
  for (const DType dtype : {DType::F64, DType::BF16}) {
    for (const int stage : {0, 1, 3}) {
      CAPTURE(stage);
      const auto make = [&] {
        auto model = test::tiny_model(dtype, test::tiny_config(), true,
                                      {.rank = 2, .alpha = 4, .targets = {"*"}, .random_b = true});
        model->parameters().shard({stage, rank, ranks});
        return model;
      };
      SimulatedDevice device({.seed = 3});
      const auto host = make(), there = make();
      there->parameters().move_to(device.compute());
      parallel::StagedGroup world(test_world(), device);
      const auto state = [](const model::Vlm& model, Stream stream, parallel::ProcessGroup& group) {
        const ParameterRegistry& p = model.parameters();
        std::vector<double> all;
        for (const Tensor& held : {p.values(), p.weights()}) append_values(all, held, stream);
        return std::pair(all, parallel::hashes_of_frozen(
                                  p, [](ParameterId) { return false; }, stream, &group));
      };
      const auto before = state(*host, {}, test_world());
      CHECK(state(*there, device.compute(), world) == before);
      merge_adapters(host->ids(), host->parameters(), {}, &test_world());
      merge_adapters(there->ids(), there->parameters(), device.compute(), &world);
      const auto after = state(*host, {}, test_world());
      CHECK(after != before);
      CHECK(state(*there, device.compute(), world) == after);
    }
  }
}

TEST_CASE("a checkpoint of a device is read on the host and on a device, and rank 0 sees the same values") {
  const i64 rank = test_world().rank(), ranks = test_world().size();
  const std::string folder = fmt::format("{}/device-{}", std::filesystem::temp_directory_path().string(),
                                         test_world().all_gather(i64{::getpid()}, {}).front());
  if (rank == 0) io::ensure_folder(folder);
  test_world().barrier({});
  for (const int zero : {0, 1, 3}) {
    CAPTURE(zero);
    const DeviceLayout layout{.zero = zero, .dtype = DType::BF16};
    SimulatedDevice device({.seed = 5}), other({.seed = 6});
    OnDevice there(layout, &device), host(layout, nullptr), again(layout, &other);
    there.steps(2);
    const auto values_of = [](OnDevice& training) {
      std::vector<double> all;
      parallel::WholeValues values(training.model->parameters(), training.groups->world(), training.stream);
      values.lend([&] {
        for (ParameterId id = 0; id < training.model->parameters().size(); ++id)
          append_values(all, values(id), {});
      });
      return all;
    };
    const std::vector<double> trained = there.values(), whole = values_of(there);
    const ParameterRegistry& p = there.model->parameters();
    parallel::Snapshot(p, there.state->optimizer, rank, ranks, there.stream).write(folder);
    parallel::Manifest manifest;
    for (i64 r = 0; r < ranks; ++r) manifest.files.push_back({parallel::share_name(r, ranks), 0, ""});
    manifest.tensors = parallel::deal_tensors(p, there.state->optimizer, ranks);
    test_world().barrier({});
    for (OnDevice* reader : {&host, &again}) {
      CHECK(reader->values() != trained);
      parallel::restore(folder, manifest, reader->model->parameters(), &reader->state->optimizer,
                        reader->stream, &reader->groups->world());
      CHECK(reader->values() == trained);
      CHECK(values_of(*reader) == whole);
    }
    test_world().barrier({});
  }
  if (rank == 0) std::filesystem::remove_all(folder);
}

TEST_CASE("a step waits for the device once, and the second allocates nothing") {
  SimulatedDevice device({.seed = 1});
  OnDevice there({}, &device);
  StepBatch batch = there.batch(0);
  train_step(*there.state, batch, {.adamw = {.lr = 1e-2}}, *there.runner);
  const i64 allocations = device.allocations(), waits = device.synchronizations();
  batch = there.batch(0);
  batch = there.batch(0);
  train_step(*there.state, batch, {.adamw = {.lr = 1e-2}}, *there.runner);
  CHECK(device.synchronizations() == waits + 1);
  batch = there.batch(0);
  const i64 later = device.allocations();
  train_step(*there.state, batch, {.adamw = {.lr = 1e-2}}, *there.runner);
  CHECK(device.allocations() == later);
  CHECK(later <= allocations + 2);  // memory of the next step's inputs
}

// Two calls of a group follow each other at once: the first's end and the second's beginning wait for what
// the streams have waited for already.
bool nothing_computed_between_calls(const DeviceLog& log, std::size_t wait) {
  const bool end_of_first = log.entries[wait].stream == 0;
  for (std::size_t e = wait; e < log.entries.size(); end_of_first ? ++e : --e) {
    const DeviceLog::Entry& entry = log.entries[e];
    if (entry.kind == DeviceLog::Kind::work && entry.stream == 0) return false;
    if (entry.kind == DeviceLog::Kind::wait && entry.stream == (end_of_first ? 2 : 0)) return true;
  }
  return false;
}

TEST_CASE("no two pieces of work of a step race, and every wait for an event is needed for that") {
  SimulatedDevice device({.records = true});
  OnDevice there({}, &device);
  there.steps(1);
  device.synchronize(device.compute());
  device.clear_log();
  there.steps(2);
  const DeviceLog& log = device.log();
  CHECK(log.race() == "");
  const std::vector<std::size_t> waits = log.waits();
  CHECK(waits.size() > 2);
  i64 between_calls = 0;
  for (std::size_t i = 0; i < waits.size(); ++i) {
    if (!log.race(static_cast<std::ptrdiff_t>(i)).empty()) continue;
    CAPTURE(i);
    CHECK(nothing_computed_between_calls(log, waits[i]));
    ++between_calls;
  }
  CHECK(between_calls <= 4);  // the sums of the numbers and of the gradients, in two steps
}

}  // namespace
}  // namespace longsight::launch
