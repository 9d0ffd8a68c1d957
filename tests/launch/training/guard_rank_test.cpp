// A step that is not finite on one rank, or in one micro-batch, updates nothing on any: to the bit. Its rank,
// micro-batch and sample are said, and a flipped bit of a replica is found by the next comparison.
#include <cmath>
#include <cstring>
#include <limits>

#include <doctest/doctest.h>

#include "launch/training/guard.h"
#include "tests/support/failure.h"
#include "tests/support/rank_test.h"
#include "tests/support/tiny_model.h"

namespace longsight::launch {
namespace {

using parallel::AttentionKind;

// A picture with one pixel that is no number.
class SpoiltImage final : public data::ImageSource {
 public:
  SpoiltImage(std::shared_ptr<data::ImageSource> image, float pixel)
      : image_(std::move(image)), pixels_(DType::F32, image_->pixels().shape()) {
    copy(pixels_, image_->pixels(), {});
    pixels_->host<float>()[pixels_->elements() / 2] = pixel;
  }
  const data::ImageLayout& layout() const override { return image_->layout(); }
  Tensor pixels() override { return pixels_; }

 private:
  std::shared_ptr<data::ImageSource> image_;
  OwnedTensor pixels_;
};

// A tiny model in training, each sample a micro-batch of its own.
struct Training {
  explicit Training(i64 sequence)
      : plan(parallel::uniform_plan({test_world().size(), sequence, test_world().size() / sequence},
                                    model->vision().blocks(), AttentionKind::ulysses,
                                    model->language().blocks(), AttentionKind::ulysses,
                                    parallel::FusionKind::owner)),
        groups(plan.mesh, test_world()),
        runner(*model, plan, groups, {}) {}

  StepBatch batch(const std::vector<model::Sample>& samples) const {
    return deal_step(samples, *model, plan, test_world().rank(), 1);
  }
  StepResult step(const StepBatch& of, StepRunner::End end = StepRunner::End::update) {
    return train_step(state, of, {.adamw = {.lr = 1e-2, .weight_decay = 0.1}, .end = end}, runner);
  }
  // Every bit that training changes.
  std::string bits() const {
    const ParameterRegistry& p = model->parameters();
    std::string bytes;
    for (const Tensor& x : {p.values(), state.optimizer.first_moments(), state.optimizer.second_moments()})
      bytes.append(static_cast<const char*>(x.data()), static_cast<std::size_t>(x.bytes()));
    for (ParameterId id = 0; id < p.size(); ++id) bytes += fmt::format(" {}", state.optimizer.steps(id));
    return bytes;
  }

  std::unique_ptr<model::Vlm> model = test::tiny_model(DType::F32);
  parallel::Plan plan;
  parallel::MeshGroups groups;
  StepRunner runner;
  TrainState state{.model = *model, .optimizer = parallel::AdamW(model->parameters())};
};

// So many that every data group has two; all have pictures.
std::vector<model::Sample> samples_for(const model::Vlm& model, u64 seed) {
  std::vector<test::SampleShape> shapes(static_cast<std::size_t>(2 * test_world().size()), {25, 1});
  return test::tiny_samples(model.config(), shapes, seed);
}

std::vector<i64> degrees() {
  return test_world().size() == 1 ? std::vector<i64>{1} : std::vector<i64>{1, i64{test_world().size()}};
}

std::string where(Training& t, const StepBatch& batch) {
  return where_not_finite(t.runner, batch, test_world(), {});
}

// Takes a step that must not be taken.
void check_refused(Training& t, const StepBatch& batch) {
  const std::string before = t.bits();
  const i64 steps = t.state.step;
  CHECK(!t.step(batch).finite);
  CHECK(t.bits() == before);
  CHECK(t.state.step == steps);
}

}  // namespace

TEST_CASE(
    "a pixel that is not finite, in one micro-batch of one rank: no update anywhere, and all is named") {
  for (const i64 sequence : degrees()) {
    for (const float pixel : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
      Training t(sequence);
      const auto good = samples_for(*t.model, 1);
      CHECK(t.step(t.batch(good)).finite);
      for (std::size_t bad = 0; bad < good.size(); ++bad) {
        CAPTURE(bad);
        auto samples = samples_for(*t.model, 2);
        samples[bad].images[0] = std::make_shared<SpoiltImage>(samples[bad].images[0], pixel);
        const StepBatch batch = t.batch(samples);
        check_refused(t, batch);
        const std::string text = where(t, batch);
        CHECK(contains(text, "loss and gradients in micro-batch"));
        CHECK(contains(text, fmt::format(": sample sample {})", bad)));
        // The rank that runs this sample, and no other.
        for (std::size_t pass = 0; pass < batch.ids.size(); ++pass) {
          if (sequence > 1 || batch.ids[pass] != std::vector<std::string>{samples[bad].id}) continue;
          CHECK(text == fmt::format("rank {} (loss and gradients in micro-batch {} of {}: sample {})",
                                    test_world().rank(), pass + 1, batch.ids.size(), samples[bad].id));
        }
      }
      // What was computed to find out leaves nothing behind: the next step is that of a run without all this.
      Training undisturbed(sequence);
      CHECK(undisturbed.step(undisturbed.batch(good)).finite);
      const StepBatch next = t.batch(samples_for(*t.model, 3));
      CHECK(t.step(next).finite);
      CHECK(undisturbed.step(next).finite);
      CHECK(t.bits() == undisturbed.bits());
    }
  }
}

TEST_CASE(
    "a weight, or a gradient, that is not finite on one rank: no update anywhere, and the rank is named") {
  for (const i64 sequence : degrees()) {
    for (int bad = 0; bad < test_world().size(); ++bad) {
      for (const float number : {std::nanf(""), -std::numeric_limits<float>::infinity()}) {
        CAPTURE(bad);
        Training t(sequence);
        const StepBatch batch = t.batch(samples_for(*t.model, 1));
        CHECK(t.step(batch).finite);
        const Tensor gradients = t.model->parameters().gradients();
        if (test_world().rank() == bad) gradients.host<float>()[17] = number;
        check_refused(t, batch);
        CHECK(contains(where(t, batch), "each rank's own are finite: a fault that has passed"));
        CHECK(t.step(batch).finite);

        const Tensor head =
            t.model->parameters().value(t.model->parameters().find("language_model.lm_head.weight"));
        if (test_world().rank() == bad) head.host<float>()[5] = number;
        check_refused(t, batch);
        const std::string text = where(t, batch);
        // In a sequence group what is wrong spreads with the exchanges.
        if (sequence == 1) {
          CHECK(text.starts_with(fmt::format("rank {} (loss and gradients in micro-batch 1 of ", bad)));
          CHECK(!contains(text, "), rank"));
        }
        CHECK(!contains(text, "each rank's own are finite"));
      }
    }
  }
}

TEST_CASE("steps that are left out are counted, and too many of them end the run") {
  Training t(1), without(1);
  const StepBatch good = t.batch(samples_for(*t.model, 1));
  auto samples = samples_for(*t.model, 2);
  samples[0].images[0] = std::make_shared<SpoiltImage>(samples[0].images[0], std::nanf(""));
  const StepBatch bad = t.batch(samples);
  Guard guard({.on_fault = "skip", .skips_in_a_row = 2, .skips = 3, .rollbacks = 0}, false);
  const auto leave_out = [&] {
    const StepResult result = t.step(bad);
    CHECK(!result.finite);
    return guard.not_finite(t.state, bad, result, "some rank");
  };
  CHECK(t.step(good).finite);
  CHECK(!leave_out());
  CHECK(!leave_out());
  const auto in_a_row = leave_out();
  REQUIRE(in_a_row.has_value());
  CHECK(in_a_row->code() == ExitCode::non_finite);
  CHECK(contains(in_a_row->what(),
                 "step 4: loss nan and gradient norm nan: some rank: nothing was updated: 2 such "
                 "steps in a row were left out before"));
  CHECK(contains(in_a_row->what(), "train.guard.skips_in_a_row"));
  CHECK(t.state.step == 3);
  CHECK(t.state.samples_seen == 3 * good.samples);
  CHECK(t.step(good).finite);
  CHECK(t.state.skipped_in_a_row == 0);
  CHECK(!leave_out());
  CHECK(t.state.skipped == 3);
  CHECK(t.step(good).finite);
  const auto of_all = leave_out();
  REQUIRE(of_all.has_value());
  CHECK(contains(of_all->what(), "3 such steps were left out before"));
  CHECK(t.state.step == 6);
  // Weights, moments and steps are those of the good steps alone.
  for (int step = 0; step < 3; ++step) CHECK(without.step(good).finite);
  CHECK(t.bits() == without.bits());

  Guard stop({}, false);
  const auto fault = stop.not_finite(t.state, bad, {.loss = 1}, "rank 0");
  REQUIRE(fault.has_value());
  CHECK(contains(fault->what(), "train.guard.on_fault=skip"));
}

TEST_CASE("a run goes back as often as it may, and never twice for the same step in a row") {
  const Error fault(ExitCode::non_finite, "step 7: bad");
  const auto refusal = [&](Guard& guard, i64 step) {
    return failure_of([&] { guard.require_rollback(fault, step); });
  };
  for (const char* other : {"stop", "skip"}) {
    Guard guard({.on_fault = other}, false);
    CHECK(refusal(guard, 7) == Failure{ExitCode::non_finite, "step 7: bad"});
  }
  Guard guard({.on_fault = "rollback", .rollbacks = 3}, false);
  CHECK(refusal(guard, 7).code == ExitCode::done);
  CHECK(contains(refusal(guard, 7).message, "step 7: bad (again,"));
  CHECK(refusal(guard, 9).code == ExitCode::done);
  CHECK(refusal(guard, 7).code == ExitCode::done);
  CHECK(contains(refusal(guard, 8).message, "has gone back 3 times"));
}

TEST_CASE("a bit of a replica that flips between two steps is found by the next comparison, on every rank") {
  if (test_world().size() < 2) return;
  constexpr i64 kEvery = 3, kPositions = 64;
  Training t(1);
  const StepBatch batch = t.batch(samples_for(*t.model, 1));
  const Philox random(5, "flips");
  i64 found = 0;
  for (i64 position = 0; position < kPositions; ++position) {
    CAPTURE(position);
    const auto draw = [&](i64 limit, i64 what) {
      return static_cast<i64>(random.below(static_cast<u64>(limit), static_cast<u64>(8 * position + what)));
    };
    const Tensor values = t.model->parameters().values();
    // Every rank is as it was for the next position.
    const std::string whole(static_cast<const char*>(values.data()),
                            static_cast<std::size_t>(values.bytes()));
    const i64 bad = draw(test_world().size(), 0), flipped_behind = draw(kEvery, 1);
    // Not the last bits, which the steps up to the comparison may round away, nor exponents, which make it no
    // number.
    const i64 element = draw(values.elements(), 2), bit = 12 + draw(11, 3);
    bool differ = false;
    for (i64 step = 0; step < kEvery; ++step) {
      if (step == flipped_behind && test_world().rank() == bad) {
        auto* const word = static_cast<unsigned char*>(values.data()) + 4 * element;
        word[bit / 8] = static_cast<unsigned char>(word[bit / 8] ^ (1 << (bit % 8)));
      }
      const bool compare = step == kEvery - 1;
      CHECK(t.step(batch, compare ? StepRunner::End::replica_check : StepRunner::End::update).finite);
      if (!compare) continue;
      const Failure failure = failure_of([&] { t.runner.check_replicas(); });
      differ = failure.code == ExitCode::internal &&
               contains(failure.message, fmt::format("rank {} of", test_world().size() == 2 ? 1 : bad));
    }
    CHECK(differ);
    found += differ;
    std::memcpy(values.data(), whole.data(), whole.size());
  }
  CHECK(found == kPositions);
}

}  // namespace longsight::launch
