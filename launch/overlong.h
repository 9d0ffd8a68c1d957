// What becomes of samples that are longer than a step takes (data.overlong). A sample is never cut.
#pragma once

#include <optional>

#include "launch/config.h"
#include "launch/sample_maker.h"

namespace longsight::launch {

// Of samples that were made.
struct FitCounts {
  i64 samples = 0;
  i64 dropped = 0;
  i64 shrunk = 0;
  void add(const FitCounts& more) {
    samples += more.samples;
    dropped += more.dropped;
    shrunk += more.shrunk;
  }
};

// Most tokens of a sample: train.tokens_per_step, or data.max_tokens if that is less.
i64 sample_limit(const Config& config);

// Immutable; any number of threads. What it decides depends on the sample alone, so every rank decides alike.
class SampleFitter {
 public:
  // Refers to the maker.
  SampleFitter(const SampleMaker& maker, const Config& config);

  i64 limit() const { return limit_; }
  // Nothing: left out (drop). bad_data, naming limit and remedy, for a sample that is too long and may not be
  // left out. `counts` is added to.
  std::optional<model::Sample> make(const data::ChatSample&, data::EncodeCache&, FitCounts& counts,
                                    std::span<const data::Shift> shifts = {}) const;

 private:
  enum class Overlong { error, drop, shrink };
  const SampleMaker& maker_;
  Overlong overlong_;
  i64 limit_;
  const char* limit_key_;
};

// "1,000 samples, 12 of them longer than 768 tokens and left out"
std::string text_of(const FitCounts& counts, i64 limit);

}  // namespace longsight::launch
