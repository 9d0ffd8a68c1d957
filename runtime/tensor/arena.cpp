#include "runtime/tensor/arena.h"

#include <algorithm>
#include <cstring>

namespace longsight {
namespace {

constexpr i64 kAlign = 64;
constexpr i64 kBlockBytes = i64{64} << 20;

}  // namespace

Arena::Arena(std::string label, MemoryPlace place)
    : label_(std::move(label)),
      place_(place),
      align_(place.device != nullptr ? place.device->alignment() : kAlign) {}

i64 Arena::bytes_of(DType dtype, i64 elements) {
  return ceil_div(elements * size_of(dtype), kAlign) * kAlign;
}

Tensor Arena::take(DType dtype, Shape shape, std::string_view label) {
  const i64 bytes = ceil_div(shape.elements() * size_of(dtype), align_) * align_;
  // The tail of a block that is too small stays unused until the arena is rewound; pages never touched cost
  // nothing.
  while (current_ < blocks_.size() && blocks_[current_].used + bytes > blocks_[current_].storage.bytes())
    ++current_;
  if (current_ == blocks_.size())
    blocks_.push_back({Storage(std::max(bytes, kBlockBytes), label_, place_), 0});
  Block& block = blocks_[current_];
  Tensor x = block.storage.tensor(dtype, shape, block.used);
  block.used += bytes;
  used_ += bytes;
  takes_.push_back({std::string(label), bytes});
  if (used_ > high_water_) {
    high_water_ = used_;
    at_high_water_.clear();
  }
#ifdef LONGSIGHT_DEBUG_MEMORY
  // All bits set: NaN in every float type, -1 in every integer type.
  if (x.bytes() > 0 && place_.backend == Backend::host)
    std::memset(x.data(), 0xFF, static_cast<std::size_t>(x.bytes()));
#endif
  return x;
}

Arena::Mark Arena::mark() const {
  return {current_, current_ < blocks_.size() ? blocks_[current_].used : 0, used_, takes_.size()};
}

void Arena::rewind(Mark mark) {
  check(mark.used <= used_ && mark.takes <= takes_.size(),
        "arena {}: rewound to a mark that is already freed", label_);
  // The table is filled when the peak is left, so that growing costs nothing.
  if (used_ == high_water_ && at_high_water_.empty() && mark.used < used_) {
    for (const Take& take : takes_) at_high_water_[take.label] += take.bytes;
  }
  for (std::size_t b = mark.block + 1; b < blocks_.size(); ++b) blocks_[b].used = 0;
  if (mark.block < blocks_.size()) blocks_[mark.block].used = mark.used_in_block;
  current_ = mark.block;
  used_ = mark.used;
  takes_.resize(mark.takes);
}

std::string Arena::table() const {
  std::vector<std::pair<i64, std::string>> rows;
  for (const auto& [label, bytes] : at_high_water_) rows.emplace_back(bytes, label);
  std::sort(rows.rbegin(), rows.rend());
  std::string text = fmt::format("{}: {:.1f} MiB at its high-water mark\n", label_,
                                 static_cast<double>(high_water_) / 1048576);
  for (const auto& [bytes, label] : rows)
    text += fmt::format("  {:10.1f} MiB  {}\n", static_cast<double>(bytes) / 1048576, label);
  return text;
}

}  // namespace longsight
