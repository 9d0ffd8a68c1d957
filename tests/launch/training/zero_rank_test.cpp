// Parameters, gradients and moments that are dealt over the ranks (ZeRO): every stage trains as if each rank
// held all, to the bit wherever sums are made in the same order.
#include <cmath>
#include <cstring>
#include <filesystem>

#include <doctest/doctest.h>
#include <unistd.h>

#include "launch/planning/prediction.h"
#include "launch/training/guard.h"
#include "launch/training/train_step.h"
#include "model/files/checkpoint.h"
#include "parallel/checkpoint/restore.h"
#include "parallel/checkpoint/snapshot.h"
#include "parallel/groups/self_group.h"
#include "parallel/replica_check.h"
#include "runtime/base/input_file.h"
#include "runtime/io/atomic_file.h"
#include "tests/support/failure.h"
#include "tests/support/rank_test.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

namespace longsight::launch {
namespace {

using parallel::AttentionKind;

struct Variant {
  std::string name;
  std::string frozen = "";  // parts
  bool tied = false;
  model::AdapterConfig adapters = {};
};

const std::vector<Variant> kVariants{
    {"whole"},
    {"tower frozen", "vision"},
    {"only the connector", "vision language"},
    {"tied", "", true},
    {"adapters", "", false, {.rank = 2, .alpha = 3, .targets = {"*"}, .random_b = true}}};

nlohmann::json config_of(const Variant& v) {
  nlohmann::json config = test::tiny_config();
  if (v.tied) config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = true;
  return config;
}

std::unique_ptr<model::Vlm> model_of(const Variant& v, DType dtype, const Sharding& sharding) {
  const auto whole = test::tiny_model(dtype, config_of(v), false, v.adapters);
  auto model = std::make_unique<model::Vlm>(whole->config(), v.adapters);
  ParameterRegistry& p = model->parameters();
  p.set_trainable([&](const Parameter& parameter) {
    return v.adapters.any() ? parameter.adapter : v.frozen.find(parameter.part) == std::string::npos;
  });
  p.allocate(dtype, true, Backend::host, sharding);
  for (ParameterId id = 0; id < p.size(); ++id) p.keep(id, whole->parameters().value(id));
  return model;
}

// DealtTraining of one rank in a stage.
struct DealtTraining {
  DealtTraining(const Variant& v, DType dtype, int stage, i64 sequence,
                parallel::ProcessGroup& all = test_world())
      : world(all),
        model(model_of(v, dtype, {stage, world.rank(), world.size()})),
        plan(parallel::uniform_plan({world.size(), sequence, world.size() / sequence},
                                    model->vision().blocks(), AttentionKind::ulysses,
                                    model->language().blocks(), AttentionKind::gather,
                                    parallel::FusionKind::owner)),
        groups(plan.mesh, world),
        state{.model = *model, .optimizer = parallel::AdamW(model->parameters())} {
    plan.zero = stage;
    runner.emplace(*model, plan, groups, Stream{});
  }

  StepBatch batch(const std::vector<model::Sample>& samples, i64 limit = 0) const {
    return deal_step(samples, *model, plan, world.rank(), limit);
  }
  StepResult step(const std::vector<model::Sample>& samples) {
    return train_step(
        state, batch(samples),
        {.adamw = {.lr = 1e-2, .weight_decay = 0.1}, .clip = 0.5, .end = StepRunner::End::replica_check},
        *runner);
  }
  OwnedTensor gradients() const {
    OwnedTensor all(model->parameters().dtype(), {model->parameters().trained_elements()});
    gather_gradients(all, model->parameters(), world, {});
    return all;
  }
  // Every bit that training changes, of all ranks together.
  std::string bits() const {
    const ParameterRegistry& p = model->parameters();
    std::string bytes;
    const auto add = [&](Tensor x) {
      bytes.append(static_cast<const char*>(x.data()), static_cast<std::size_t>(x.bytes()));
    };
    for (ParameterId id = 0; id < p.size(); ++id) {
      const OwnedTensor value = parallel::whole_value(p, id, world, {});
      add(value);
      bytes += fmt::format(" {} ", state.optimizer.steps(id));
    }
    for (const Tensor& held : {state.optimizer.first_moments(), state.optimizer.second_moments()}) {
      for (const ParameterBucket& bucket : p.buckets()) {
        if (!bucket.trained) continue;
        const OwnedTensor whole(p.dtype(), {bucket.elements});
        const Tensor own = held.row_range(bucket.moments_at + bucket.own.begin, bucket.own.elements());
        if (!p.sharding().moments()) {
          copy(whole, own, {});
        } else {
          std::vector<i64> counts;
          for (i64 r = 0; r < world.size(); ++r)
            counts.push_back(share_of(bucket.elements, r, world.size()).elements());
          world.all_gather_v(own, whole, counts, {});
        }
        add(whole);
      }
    }
    return bytes;
  }

  parallel::ProcessGroup& world;
  std::unique_ptr<model::Vlm> model;
  parallel::Plan plan;
  parallel::MeshGroups groups;
  TrainState state;
  std::optional<StepRunner> runner;
};

// Of three, of which not all have images; and without any.
std::vector<model::Sample> mixed(const DealtTraining& t, u64 seed) {
  return test::tiny_samples(t.model->config(), {{29, 2}, {13, 0}, {21, 1}}, seed);
}
std::vector<model::Sample> text_only(const DealtTraining& t, u64 seed) {
  return test::tiny_samples(t.model->config(), {{9, 0}, {13, 0}}, seed);
}

std::vector<i64> dealt_degrees() {
  return test_world().size() == 1 ? std::vector<i64>{1} : std::vector<i64>{1, i64{test_world().size()}};
}

bool same_bits(Tensor a, Tensor b) {
  return a.bytes() == b.bytes() && std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())) == 0;
}

// max|a - b| / max|b|
double difference(Tensor a, Tensor b) {
  double most = 0, size = 0;
  for (i64 i = 0; i < b.elements(); ++i) {
    most = std::max(most, std::abs(a.host<double>()[i] - b.host<double>()[i]));
    size = std::max(size, std::abs(b.host<double>()[i]));
  }
  return most / size;
}

template <class F>
void each_stage(F&& f) {
  for (const int stage : {1, 2, 3}) {
    CAPTURE(stage);
    f(stage);
  }
}

}  // namespace

TEST_CASE("the gradients of every stage are those of one rank, and of replicas bit by bit") {
  for (const Variant& v : kVariants) {
    for (const i64 sequence : dealt_degrees()) {
      CAPTURE(v.name);
      CAPTURE(sequence);
      parallel::SelfGroup self;
      DealtTraining alone(v, DType::F64, 0, 1, self), replicas(v, DType::F64, 0, sequence);
      const auto samples = mixed(alone, 1);
      alone.runner->run(alone.batch(samples));
      replicas.runner->run(replicas.batch(samples));
      const OwnedTensor expected = alone.gradients(), same = replicas.gradients();
      each_stage([&](int stage) {
        DealtTraining dealt(v, DType::F64, stage, sequence);
        dealt.runner->run(dealt.batch(samples));
        const OwnedTensor got = dealt.gradients();
        CHECK(difference(got, expected) <= 1e-9);
        // An embedding that is the head too gets its two gradients in two sums where each goes to its owner.
        if (!v.tied || stage < 2) CHECK(same_bits(got, same));
      });
    }
  }
}

void check_steps(DType dtype) {
  CAPTURE(name_of(dtype));
  for (const Variant& v : kVariants) {
    if (v.tied) continue;
    for (const i64 sequence : dealt_degrees()) {
      CAPTURE(v.name);
      CAPTURE(sequence);
      const auto trained = [&](int stage) {
        DealtTraining t(v, dtype, stage, sequence);
        std::vector<double> numbers;
        for (u64 i = 0; i < 4; ++i) {
          const bool images = i != 2 || v.frozen == "vision language";
          const StepResult result = t.step(images ? mixed(t, i) : text_only(t, i));
          t.runner->check_replicas();
          numbers.push_back(result.loss);
          numbers.push_back(result.gradient_norm);
        }
        numbers.push_back(t.runner->evaluate(t.batch(mixed(t, 9))));
        return std::pair(t.bits(), numbers);
      };
      const auto replicas = trained(0);
      each_stage([&](int stage) {
        const auto [bits, numbers] = trained(stage);
        CHECK(bits == replicas.first);
        CHECK(numbers == replicas.second);
      });
    }
  }
}

TEST_CASE("steps with images and without train every bit as with replicas") {
  check_steps(DType::F32);
}

TEST_CASE("bf16: steps train every bit of the masters as with replicas, though these are dealt") {
  check_steps(DType::BF16);
}

TEST_CASE("several micro-batches are added in another order, and to the same") {
  DealtTraining replicas(kVariants[0], DType::F64, 0, 1);
  const auto samples = test::tiny_samples(replicas.model->config(),
                                          {{29, 2}, {13, 0}, {21, 1}, {7, 0}, {25, 1}, {30, 0}, {22, 2}}, 5);
  const StepBatch batch = replicas.batch(samples, 1);
  REQUIRE(batch.passes.size() > 1);
  replicas.runner->run(batch);
  const OwnedTensor expected = replicas.gradients();
  each_stage([&](int stage) {
    DealtTraining dealt(kVariants[0], DType::F64, stage, 1);
    dealt.runner->run(dealt.batch(samples, 1));
    const OwnedTensor got = dealt.gradients();
    CHECK(difference(got, expected) <= 1e-13);
    if (stage == 1) CHECK(same_bits(got, expected));
  });
}

TEST_CASE("each rank holds its share, and a pass takes and sends the bytes that its trace tells") {
  const i64 ranks = test_world().size();
  if (ranks == 1) return;
  for (std::size_t i = 0; i < 2 * kVariants.size(); ++i) {
    const Variant& v = kVariants[i / 2];
    const DType dtype = i % 2 == 0 ? DType::F32 : DType::BF16;
    CAPTURE(v.name);
    CAPTURE(name_of(dtype));
    const DealtTraining replicas(v, dtype, 0, ranks);
    const ParameterRegistry& all = replicas.model->parameters();
    each_stage([&](int stage) {
      DealtTraining t(v, dtype, stage, ranks);
      const ParameterRegistry& p = t.model->parameters();
      // Of each bucket at most one element more than its share.
      const i64 more = std::ssize(p.buckets()) * 4;
      const auto within = [&](i64 bytes, i64 whole, bool dealt) {
        CHECK(bytes <= (dealt ? whole / ranks + more : whole));
        CHECK(bytes >= (dealt ? whole / ranks - more : whole));
      };
      within(p.values().bytes(), all.values().bytes(), p.values_dealt());
      within(p.weights().bytes(), all.weights().bytes(), stage == 3);
      within(p.gradients().bytes(), all.gradients().bytes(), stage >= 2);
      within(t.state.optimizer.bytes() / 2, all.gradients().bytes(), true);
      if (test_world().rank() == 0) {  // the fullest one, as shares are cut
        const planning::MemoryByPart predicted = planning::resident_memory(all, t.plan);
        CHECK(predicted.parameters == p.value_bytes());
        CHECK(predicted.gradients == p.gradients().bytes());
        CHECK(predicted.optimizer == t.state.optimizer.bytes());
      }

      const StepBatch batch = t.batch(mixed(t, 1));
      model::PassMemory memory, traced(Backend::trace);
      const model::PassTrace told = trace_pass(*t.model, batch.passes[0], true, traced, "sequence");
      // As the planner sees it, who has replicas, or only shapes.
      {
        const ParameterRegistry::Pretence dealt(replicas.model->parameters(),
                                                t.plan.sharding(test_world().rank()));
        const model::PassTrace planned =
            trace_pass(*replicas.model, batch.passes[0], true, traced, "sequence");
        CHECK(planned.scratch == told.scratch);
        CHECK(planned.schedule.text() == told.schedule.text());
      }
      t.groups.reset_counters();
      model::DealtOver over;
      if (stage >= 2) over.world = &test_world();
      model::Pass pass(*t.model, batch.passes[0], true, t.groups.sequence(), memory, {}, over);
      t.groups.reset_counters();
      pass.forward();
      pass.loss_and_backward(1);
      const i64 sent = t.groups.counters().bytes_sent;
      CHECK(memory.saved.high_water() == told.saved);
      CHECK(memory.scratch.high_water() == told.scratch);
      i64 moved = 0;
      for (const parallel::ScheduleEntry& entry : told.schedule.entries())
        moved += wire_of(entry.counts, size_of(entry.dtype)).total;
      CHECK(test_world().all_reduce_sum(sent, {}) == moved);
    });
  }
}

TEST_CASE("a gradient that is not finite: no update in any stage, and the rank that had it is named") {
  for (const int stage : {0, 2, 3}) {
    CAPTURE(stage);
    DealtTraining t(kVariants[0], DType::F32, stage, 1);
    t.step(mixed(t, 1));
    const std::string before = t.bits();
    const auto samples = test::tiny_samples(
        t.model->config(),
        std::vector<test::SampleShape>(static_cast<std::size_t>(test_world().size()), {25, 1}), 4);
    StepBatch batch = t.batch(samples);
    const i64 spoilt = test_world().size() - 1;
    if (test_world().rank() == spoilt) {
      const Tensor patches = batch.passes[0].vision.patches;
      patches.host<float>()[0] = std::nanf("");
    }
    const StepResult result = train_step(t.state, batch, {.adamw = {.lr = 1e-2}}, *t.runner);
    CHECK(!result.finite);
    CHECK(t.bits() == before);
    const std::string where = where_not_finite(*t.runner, batch, test_world(), {});
    CHECK_MESSAGE(contains(where, fmt::format("rank {} (loss and gradients in micro-batch 1", spoilt)),
                  where);
    const OwnedTensor left = t.gradients(), none(DType::F32, left->shape());
    CHECK(same_bits(left, none));
    CHECK(t.step(mixed(t, 2)).finite);
  }
}

TEST_CASE("a weight that is another one on a rank is found though its owner overwrites it in the same step") {
  const i64 last = test_world().size() - 1;
  if (last == 0) return;
  for (const int stage : {1, 2}) {
    CAPTURE(stage);
    DealtTraining t(kVariants[0], DType::F32, stage, 1);
    if (test_world().rank() == last) t.model->parameters().values().host<float>()[0] *= 1.5F;
    t.step(mixed(t, 1));
    const Failure failure = failure_of([&] { t.runner->check_replicas(); });
    CHECK(failure.code == ExitCode::internal);
    // Of two ranks the lower one counts.
    CHECK_MESSAGE(contains(failure.message, fmt::format("rank {} of {} differs", last, last + 1)),
                  failure.message);
    t.step(mixed(t, 2));
    t.runner->check_replicas();
  }
}

TEST_CASE("ranks that were given different models to keep their shares of are told apart") {
  if (test_world().size() == 1) return;
  DealtTraining t(kVariants[0], DType::F32, 3, 1);
  parallel::check_replicas(t.model->parameters(), test_world(), {});
  if (test_world().rank() == 1)
    t.model->parameters().write(5, [](Tensor value) { value.host<float>()[0] = 1; });
  const Failure failure =
      failure_of([&] { parallel::check_replicas(t.model->parameters(), test_world(), {}); });
  CHECK(failure.code == ExitCode::internal);
  CHECK(contains(failure.message, "parameter " + t.model->parameters()[5].name + " is not the same"));
}

// `write`: in what precision it was trained, `read`: in what it goes on.
void check_checkpoints(DType write, DType read) {
  CAPTURE(name_of(write));
  CAPTURE(name_of(read));
  const std::string folder = fmt::format("{}/zero-{}", std::filesystem::temp_directory_path().string(),
                                         test_world().all_gather(i64{::getpid()}, {}).front());
  if (test_world().rank() == 0) io::ensure_folder(folder);
  test_world().barrier({});
  const i64 rank = test_world().rank(), ranks = test_world().size();
  for (const int from : {0, 1, 2, 3}) {
    DealtTraining writer(kVariants[0], write, from, 1);
    writer.step(mixed(writer, 1));
    const parallel::Snapshot snapshot(writer.model->parameters(), writer.state.optimizer, rank, ranks, {});
    const parallel::CheckpointFile file = snapshot.write(folder);
    parallel::Manifest manifest;
    for (i64 r = 0; r < ranks; ++r) manifest.files.push_back({parallel::share_name(r, ranks), 0, ""});
    manifest.tensors = parallel::deal_tensors(writer.model->parameters(), writer.state.optimizer, ranks);
    test_world().barrier({});
    const std::string bits = writer.bits();
    writer.step(mixed(writer, 2));
    const std::string later = writer.bits();
    for (const int to : {0, 1, 2, 3}) {
      CAPTURE(from);
      CAPTURE(to);
      DealtTraining reader(kVariants[0], read, to, 1);
      parallel::restore(folder, manifest, reader.model->parameters(), &reader.state.optimizer, {},
                        &test_world());
      CHECK(reader.bits() == bits);
      const StepResult next = reader.step(mixed(reader, 2));
      CHECK(next.finite);
      CHECK((reader.bits() == later) == (read == write));
    }
    test_world().barrier({});
    std::filesystem::remove(folder + "/" + file.name);
  }
  test_world().barrier({});
  if (rank == 0) std::filesystem::remove_all(folder);
}

TEST_CASE("a checkpoint of any stage is read in any other, to the bit") {
  check_checkpoints(DType::F32, DType::F32);
}

TEST_CASE(
    "bf16: a checkpoint is of the masters: it is read in any stage, and in f32, and that of f32 in bf16") {
  check_checkpoints(DType::BF16, DType::BF16);
  check_checkpoints(DType::BF16, DType::F32);
  check_checkpoints(DType::F32, DType::BF16);
}

void check_written(DType dtype, int stage) {
  const Variant& v = kVariants.back();
  DealtTraining whole(v, dtype, 0, 1), dealt(v, dtype, stage, 1);
  const ScratchFolder scratch;  // of each rank
  const auto frozen = [](const DealtTraining& t) {
    const ParameterRegistry& p = t.model->parameters();
    return parallel::hashes_of_frozen(
        p, [&](ParameterId id) { return p.has_grad(id); }, {}, &test_world());
  };
  CHECK(frozen(dealt) == frozen(whole));

  merge_adapters(whole.model->ids(), whole.model->parameters(), {});
  merge_adapters(dealt.model->ids(), dealt.model->parameters(), {}, &test_world());
  CHECK(dealt.bits() == whole.bits());

  io::ensure_folder(scratch / "whole");
  io::ensure_folder(scratch / "dealt");
  parallel::WholeValues values(dealt.model->parameters(), test_world(), {});
  const auto write = [&] {
    write_weight_files(*dealt.model, scratch / "dealt", {}, [&](ParameterId id) { return values(id); });
  };
  values.lend(write);
  // Rank 0 fails in the middle; the others do not wait for it.
  const Failure failure = failure_of([&] {
    values.lend([&] {
      values(3);
      fail(ExitCode::cannot_write, "disk full");
    });
  });
  CHECK(failure.code == (test_world().rank() == 0 ? ExitCode::cannot_write : ExitCode::done));
  if (test_world().rank() != 0) return;
  write_weight_files(*whole.model, scratch / "whole", {});
  const auto content = [&](const std::string& folder) {
    return read_whole_file(scratch / (folder + "/model.safetensors"), i64{1} << 30, ExitCode::bad_data);
  };
  CHECK(content("dealt") == content("whole"));
}

TEST_CASE("a model whose values are dealt is written, hashed and merged as one that every rank holds") {
  check_written(DType::F32, 3);
}

TEST_CASE("bf16: a model is written from its masters, in the stages that deal them too") {
  check_written(DType::BF16, 1);
  check_written(DType::BF16, 3);
}

}  // namespace longsight::launch
