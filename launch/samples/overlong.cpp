#include "launch/samples/overlong.h"

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

SampleFitter::Fitted SampleFitter::make(const data::ChatSample& chat, data::EncodeCache& cache,
                                        std::span<const data::Shift> shifts) const {
  Fitted fitted{.sample = maker_.sample(chat, cache, shifts)};
  require(supervised_tokens(*fitted.sample) > 0, ExitCode::bad_data,
          "{}: no supervised token: nothing of it is learned", chat.where);
  const i64 tokens = fitted.sample->tokens();
  if (tokens <= limit_) return fitted;
  if (overlong_ == Overlong::drop) return {.sample = std::nullopt};
  if (overlong_ == Overlong::shrink) {
    fitted.sample = maker_.sample_within(chat, cache, limit_, shifts);
    fitted.shrunk = true;
    if (fitted.sample) return fitted;
  }
  throw OverlongError(
      ExitCode::bad_data,
      fmt::format("{}: {} tokens do not fit into a step of {} = {}{}: raise it, or shorten the sample, or "
                  "data.overlong: drop",
                  chat.where, tokens, limit_key_, limit_,
                  overlong_ == Overlong::shrink ? ", whatever the size of its images" : ""));
}

}  // namespace longsight::launch
