// In which order samples are trained, and how that order is cut into steps. Arithmetic on numbers of samples
// and their lengths: nothing is read, and every rank comes to the same.
//
// Sets without weights are one: every epoch is a permutation of all their samples. With weights each set is a
// permutation of its own in every pass over it, and the next sample comes from the set that is furthest
// behind its share. Samples that are left out do not change the order of the others, and are not counted. An
// epoch holds as many samples as all sets have.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/number.h"
#include "runtime/base/philox.h"

namespace longsight::launch {

// Tokens of every sample of every set, as far as they are known: 4 bytes a sample.
class SampleLengths {
 public:
  static constexpr std::int32_t kUnknown = -1;
  static constexpr std::int32_t kLeftOut = 0;

  explicit SampleLengths(const std::vector<i64>& samples_of_sets);
  std::int32_t at(std::size_t set, i64 index) const { return sets_[set][static_cast<std::size_t>(index)]; }
  void put(std::size_t set, i64 index, i64 tokens);
  i64 samples(std::size_t set) const { return static_cast<i64>(sets_[set].size()); }
  i64 kept(std::size_t set) const { return kept_[set]; }  // samples that are not known to be left out
  i64 kept() const;
  std::size_t sets() const { return sets_.size(); }

 private:
  std::vector<std::vector<std::int32_t>> sets_;
  std::vector<i64> kept_;
};

struct OrderedSet {
  std::string name;              // for errors
  std::optional<double> weight;  // of samples drawn; where any set has one, those without have 1
};

struct Draw {
  std::size_t set = 0;
  i64 index = 0;  // of the sample in its set
  i64 pass = 0;   // over the set, or over all of them where they are one
  friend bool operator==(const Draw&, const Draw&) = default;
};

// A value: a copy goes on by itself (and shares the lengths).
class StepOrder {
 public:
  // `lengths` outlives the order. `measure` puts a length that is not known there.
  using Measure = std::function<void(std::size_t set, i64 index)>;
  StepOrder(std::vector<OrderedSet> sets, const SampleLengths& lengths, u64 seed, i64 tokens_per_step,
            Measure measure);

  // The next samples that fit into tokens_per_step; a step never holds samples of two epochs. Empty: the end.
  // bad_data, naming the set, if all samples of a set are left out.
  std::vector<Draw> next();
  // The last step ends there; it may be short.
  void end_after(i64 samples) { end_ = samples; }

  i64 samples_drawn() const { return drawn_; }
  const std::vector<i64>& drawn_of_sets() const { return drawn_of_sets_; }

 private:
  // What is permuted as a whole: one set, or all of them.
  struct Ring {
    std::size_t first_set = 0, sets = 1;
    double weight = 1;
    i64 samples = 0;
    i64 pass = 0, at = 0;  // the next position
    i64 drawn = 0;         // samples that were not left out
    Philox random;         // of this pass
  };
  Philox random_of(std::size_t ring, i64 pass) const;
  std::int32_t length(const Draw& draw);
  Draw draw();
  Draw draw_of(std::size_t ring);

  std::vector<OrderedSet> sets_;
  const SampleLengths* lengths_;
  u64 seed_;
  i64 tokens_per_step_;
  Measure measure_;
  std::vector<Ring> rings_;
  std::optional<Draw> waiting_;  // drawn, but it did not fit into the last step
  i64 drawn_ = 0, drawn_in_epoch_ = 0;
  i64 end_ = std::numeric_limits<i64>::max();
  std::vector<i64> drawn_of_sets_;
};

// More epochs than these are counted only as far as so many samples: half a minute of work.
inline constexpr i64 kFewEpochs = 10, kMostSamples = 100'000'000;

// Samples of so many epochs of `kept` samples: what is begun counts as a whole one. usage for more than can
// be counted.
i64 samples_of_epochs(double epochs, i64 kept);

struct RunLength {
  i64 steps = 0;
  i64 samples = 0;
  std::vector<i64> samples_of_sets;
  bool estimated = false;  // the samples
};
// Goes through a copy of the order: to its end, or for so many steps. The samples of steps without an end in
// sight are estimated from the first `most`.
RunLength measure_run(StepOrder order, std::optional<i64> steps, i64 most = 10'000'000);

}  // namespace longsight::launch
