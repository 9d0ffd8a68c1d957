#include "launch/overlong.h"

#include <algorithm>

namespace longsight::launch {

i64 sample_limit(const Config& config) {
  return std::min(config.train.tokens_per_step,
                  config.data.max_tokens.value_or(config.train.tokens_per_step));
}

SampleFitter::SampleFitter(const SampleMaker& maker, const Config& config)
    : maker_(maker),
      overlong_(config.data.overlong == "drop"    ? Overlong::drop
                : config.data.overlong == "error" ? Overlong::error
                                                  : Overlong::shrink),
      limit_(sample_limit(config)),
      limit_key_(limit_ < config.train.tokens_per_step ? "data.max_tokens" : "train.tokens_per_step") {}

std::optional<model::Sample> SampleFitter::make(const data::ChatSample& chat, data::EncodeCache& cache,
                                                FitCounts& counts,
                                                std::span<const data::Shift> shifts) const {
  counts.samples += 1;
  model::Sample sample = maker_.sample(chat, cache, shifts);
  if (sample.tokens() <= limit_) return sample;
  if (overlong_ == Overlong::drop) {
    counts.dropped += 1;
    return std::nullopt;
  }
  if (overlong_ == Overlong::shrink) {
    if (auto smaller = maker_.sample_within(chat, cache, limit_, shifts)) {
      counts.shrunk += 1;
      return smaller;
    }
  }
  fail(ExitCode::bad_data,
       "{}: {} tokens do not fit into a step of {} = {}{}: raise it, or shorten the sample, or "
       "data.overlong: drop",
       sample.id, sample.tokens(), limit_key_, limit_,
       overlong_ == Overlong::shrink ? ", whatever the size of its images" : "");
}

std::string text_of(const FitCounts& counts, i64 limit) {
  std::string text = fmt::format("{} samples", counts.samples);
  if (counts.dropped > 0)
    text += fmt::format(", {} of them longer than {} tokens and left out", counts.dropped, limit);
  if (counts.shrunk > 0)
    text += fmt::format(", {} of them with smaller images to fit into {} tokens", counts.shrunk, limit);
  return text;
}

}  // namespace longsight::launch
