// What becomes of samples that are longer than a step takes (data.overlong). A sample is never cut.
#pragma once

#include <optional>

#include "launch/config.h"
#include "launch/samples/sample_maker.h"

namespace longsight::launch {

// Most tokens of a sample: train.tokens_per_step, or data.max_tokens if that is less.
i64 sample_limit(const Config& config);

// bad_data of a sample that is in order, but too long. data.bad: skip is not for these.
class OverlongError : public Error {
 public:
  using Error::Error;
};

// Immutable; any number of threads. What it decides depends on the sample alone, so every rank decides alike.
class SampleFitter {
 public:
  // Refers to the maker.
  SampleFitter(const SampleMaker& maker, const Config& config);

  i64 limit() const { return limit_; }
  struct Fitted {
    std::optional<model::Sample> sample;  // nothing: left out (drop)
    bool shrunk = false;                  // it has smaller images, to fit
  };
  // OverlongError, naming limit and remedy, for a sample that is too long and may not be left out; bad_data
  // for one in which no token is learned.
  Fitted make(const data::ChatSample&, data::EncodeCache&, std::span<const data::Shift> shifts = {}) const;

 private:
  enum class Overlong { error, drop, shrink };
  const SampleMaker& maker_;
  Overlong overlong_;
  i64 limit_;
  const char* limit_key_;
};

}  // namespace longsight::launch
