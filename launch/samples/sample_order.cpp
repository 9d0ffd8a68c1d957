#include "launch/samples/sample_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "runtime/base/error.h"

namespace longsight::launch {

SampleLengths::SampleLengths(const std::vector<i64>& samples_of_sets) : kept_(samples_of_sets) {
  for (const i64 samples : samples_of_sets)
    sets_.emplace_back(static_cast<std::size_t>(samples), std::int32_t{kUnknown});
}

void SampleLengths::put(std::size_t set, i64 index, i64 tokens) {
  std::int32_t& length = sets_[set][static_cast<std::size_t>(index)];
  kept_[set] += (length == kLeftOut) - (tokens == kLeftOut);
  length = narrow<std::int32_t>(tokens);
}

i64 SampleLengths::kept() const {
  return std::accumulate(kept_.begin(), kept_.end(), i64{0});
}

StepOrder::StepOrder(std::vector<OrderedSet> sets, const SampleLengths& lengths, u64 seed,
                     i64 tokens_per_step, Measure measure)
    : sets_(std::move(sets)),
      lengths_(&lengths),
      seed_(seed),
      tokens_per_step_(tokens_per_step),
      measure_(std::move(measure)),
      drawn_of_sets_(sets_.size(), 0) {
  check(sets_.size() == lengths.sets() && !sets_.empty(), "{} sets, lengths of {}", sets_.size(),
        lengths.sets());
  const bool weighted = std::any_of(sets_.begin(), sets_.end(), [](const OrderedSet& s) { return s.weight; });
  for (std::size_t i = 0; i < sets_.size(); ++i) {
    if (weighted || i == 0)
      rings_.push_back({.first_set = i,
                        .sets = 0,
                        .weight = sets_[i].weight.value_or(1),
                        .random = random_of(rings_.size(), 0)});
    rings_.back().sets += 1;
    rings_.back().samples += lengths.samples(i);
  }
}

Philox StepOrder::random_of(std::size_t ring, i64 pass) const {
  return {seed_, fmt::format("order {} {}", ring, pass)};
}

std::int32_t StepOrder::length(const Draw& draw) {
  if (lengths_->at(draw.set, draw.index) == SampleLengths::kUnknown) measure_(draw.set, draw.index);
  return lengths_->at(draw.set, draw.index);
}

Draw StepOrder::draw_of(std::size_t number) {
  Ring& ring = rings_[number];
  // Two passes without a sample: there is none.
  for (i64 left_out = 0; left_out < 2 * ring.samples; ++left_out) {
    if (ring.at == ring.samples) {
      ring.at = 0;
      ring.random = random_of(number, ++ring.pass);
    }
    Draw draw{.set = ring.first_set,
              .index = static_cast<i64>(
                  permuted(ring.random, static_cast<u64>(ring.at), static_cast<u64>(ring.samples))),
              .pass = ring.pass};
    ring.at += 1;
    for (; draw.index >= lengths_->samples(draw.set); ++draw.set) draw.index -= lengths_->samples(draw.set);
    if (length(draw) != SampleLengths::kLeftOut) {
      ring.drawn += 1;
      return draw;
    }
  }
  fail(ExitCode::bad_data, "{}: all of its {} samples are left out (data.overlong: drop, data.bad: skip)",
       sets_[ring.first_set].name, ring.samples);
}

Draw StepOrder::draw() {
  std::size_t chosen = 0;
  const auto behind = [this](std::size_t i) {
    return static_cast<double>(rings_[i].drawn + 1) / rings_[i].weight;
  };
  for (std::size_t i = 1; i < rings_.size(); ++i) {
    if (behind(i) < behind(chosen)) chosen = i;  // of equal ones the first
  }
  return draw_of(chosen);
}

std::vector<Draw> StepOrder::next() {
  std::vector<Draw> step;
  i64 tokens = 0;
  while (drawn_ < end_) {
    if (!waiting_) waiting_ = draw();
    // Now and not before: without a look at all samples some may have been found to be left out just now.
    if (drawn_in_epoch_ == lengths_->kept()) {
      drawn_in_epoch_ = 0;
      if (!step.empty()) break;
    }
    tokens += length(*waiting_);
    if (tokens > tokens_per_step_ && !step.empty()) break;
    drawn_ += 1;
    drawn_in_epoch_ += 1;
    drawn_of_sets_[waiting_->set] += 1;
    step.push_back(*std::exchange(waiting_, std::nullopt));
  }
  return step;
}

i64 samples_of_epochs(double epochs, i64 kept) {
  require(
      epochs <= static_cast<double>(kFewEpochs) ||
          epochs * static_cast<double>(kept) <= static_cast<double>(kMostSamples),
      ExitCode::usage,
      "train.epochs: {} epochs of {} samples are {} samples, whose steps are counted one by one before the "
      "first one; beyond {} epochs a run can have {}: give train.steps",
      epochs, kept, epochs * static_cast<double>(kept), kFewEpochs, kMostSamples);
  const double exact = epochs * static_cast<double>(kept), whole = std::round(exact);
  // 1.1 epochs of 10 samples are 11, though 1.1 * 10 is a little more in binary.
  const bool is_whole = std::abs(exact - whole) <= 1e-9 * std::max(1.0, exact);
  return std::max(i64{1}, static_cast<i64>(is_whole ? whole : std::ceil(exact)));
}

RunLength measure_run(StepOrder order, std::optional<i64> steps, i64 most) {
  RunLength length;
  while (!steps || (length.steps < *steps && order.samples_drawn() < most)) {
    if (order.next().empty()) break;
    length.steps += 1;
  }
  length.samples = order.samples_drawn();
  length.samples_of_sets = order.drawn_of_sets();
  if (!steps || length.steps == 0 || length.samples < most) return length;
  const auto scaled = [factor = static_cast<double>(*steps) / static_cast<double>(length.steps)](i64 count) {
    return static_cast<i64>(std::min(static_cast<double>(count) * factor, 9e18));
  };
  length.estimated = length.steps < *steps;
  length.steps = *steps;
  length.samples = scaled(length.samples);
  for (i64& samples : length.samples_of_sets) samples = scaled(samples);
  return length;
}

}  // namespace longsight::launch
