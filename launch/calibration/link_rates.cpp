#include "launch/calibration/link_rates.h"

#include <algorithm>

#include "launch/measure.h"
#include "runtime/base/clock.h"

namespace longsight::launch {
namespace {

constexpr const char* kLabel = "calibration";
constexpr i64 kLarge = i64{8} << 20;  // bytes that a rank sends

// Seconds of a call, on the slowest rank; the median of several.
template <class F>
double seconds_of(parallel::ProcessGroup& group, Stream stream, int rounds, F&& call) {
  std::vector<double> seconds;
  for (int i = -1; i < rounds; ++i) {
    group.barrier(stream, kLabel);
    const double start = steady_seconds();
    call();
    const double slowest = group.all_reduce_max(steady_seconds() - start, stream, kLabel);
    if (i >= 0) seconds.push_back(slowest);
  }
  return median(seconds);
}

// `bytes(large)` are sent by a rank in `messages`; a small call is all latency.
planning::Link link_of(double small, double large, double bytes, double messages) {
  const double latency = small / messages;
  // A large call that seems no longer than a small one: what is measured is noise.
  return {.bandwidth = bytes / std::max(large - small, large / 2), .latency = latency};
}

}  // namespace

std::optional<planning::Link> all_to_all_link(parallel::ProcessGroup& group, Stream stream) {
  const i64 ranks = group.size(), each = std::max<i64>(1, kLarge / ranks);
  if (ranks == 1) return std::nullopt;
  const OwnedTensor sent(DType::U8, {ranks * each}), received(DType::U8, {ranks * each});
  const auto exchange = [&](i64 bytes) {
    const std::vector<i64> counts(static_cast<std::size_t>(ranks), bytes);
    group.all_to_all_v(sent->row_range(0, ranks * bytes), counts, received->row_range(0, ranks * bytes),
                       counts, stream, kLabel);
  };
  const double small = seconds_of(group, stream, 50, [&] { exchange(1); });
  const double large = seconds_of(group, stream, 10, [&] { exchange(each); });
  const auto others = static_cast<double>(ranks - 1);
  return link_of(small, large, others * static_cast<double>(each), others);
}

planning::Link shift_link(parallel::ProcessGroup& group, int offset, Stream stream) {
  const OwnedTensor sent(DType::U8, {kLarge}), received(DType::U8, {kLarge});
  const auto shift = [&](i64 bytes) {
    group.shift(sent->row_range(0, bytes), received->row_range(0, bytes), offset, stream, kLabel);
  };
  const double small = seconds_of(group, stream, 50, [&] { shift(1); });
  const double large = seconds_of(group, stream, 10, [&] { shift(kLarge); });
  return link_of(small, large, static_cast<double>(kLarge), 1);
}

}  // namespace longsight::launch
