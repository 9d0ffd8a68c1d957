#include "runtime/data/text/bpe_merges.h"

#include <algorithm>
#include <array>
#include <queue>

#include "runtime/base/number.h"

namespace longsight::data {
namespace {

constexpr std::int32_t kNone = -1;
constexpr std::size_t kShort = 48;

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}
std::uint64_t spread(std::uint64_t key) {
  key *= 0x9E3779B97F4A7C15u;
  return key ^ key >> 32;
}

}  // namespace

void BpeMerges::build(const std::vector<Merge>& merges) {
  std::size_t size = 16;
  while (size < 2 * merges.size()) size *= 2;
  entries_.assign(size, Entry{});
  mask_ = size - 1;
  for (const Merge& merge : merges) {
    const std::uint64_t pair = pair_key(merge.left, merge.right);
    std::uint64_t at = spread(pair) & mask_;
    while (entries_[at].pair != ~std::uint64_t{0} && entries_[at].pair != pair) at = (at + 1) & mask_;
    entries_[at] = {pair, merge.rank, merge.result};
  }
}

const BpeMerges::Entry* BpeMerges::find(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = pair_key(left, right);
  for (std::uint64_t at = spread(pair) & mask_;; at = (at + 1) & mask_) {
    if (entries_[at].pair == pair) return &entries_[at];
    if (entries_[at].pair == ~std::uint64_t{0}) return nullptr;
  }
}

void BpeMerges::apply(std::vector<std::int32_t>& ids, std::size_t first) const {
  const std::size_t count = ids.size() - first;
  if (count <= kShort) {
    ids.resize(first + apply_short(ids.data() + first, count));
  } else {
    apply_long(ids, first);
  }
}

// The best pair by a linear scan.
std::size_t BpeMerges::apply_short(std::int32_t* symbols, std::size_t count) const {
  std::array<const Entry*, kShort> merge{};  // merge[i] joins symbols i and i + 1
  for (std::size_t i = 0; i + 1 < count; ++i) merge[i] = find(symbols[i], symbols[i + 1]);
  for (;;) {
    const Entry* best = nullptr;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < count; ++i) {
      if (merge[i] != nullptr && (best == nullptr || merge[i]->rank < best->rank)) best = merge[i], at = i;
    }
    if (best == nullptr) return count;
    symbols[at] = best->result;
    --count;
    for (std::size_t i = at + 1; i < count; ++i) symbols[i] = symbols[i + 1], merge[i] = merge[i + 1];
    if (at > 0) merge[at - 1] = find(symbols[at - 1], symbols[at]);
    if (at + 1 < count) merge[at] = find(symbols[at], symbols[at + 1]);
  }
}

// A linked list of symbols and a heap of merges, in which outdated entries stay until they come up.
void BpeMerges::apply_long(std::vector<std::int32_t>& ids, std::size_t first) const {
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t left;  // its position
    std::int32_t left_id, right_id, result;
    bool operator<(const Candidate& o) const { return rank != o.rank ? rank > o.rank : left > o.left; }
  };
  std::int32_t* symbols = ids.data() + first;
  const auto size = narrow<std::uint32_t>(ids.size() - first);
  std::vector<std::uint32_t> next(size), previous(size);
  std::priority_queue<Candidate> heap;
  const auto consider = [&](std::uint32_t left) {
    const std::uint32_t right = next[left];
    if (right == size) return;
    const Entry* merge = find(symbols[left], symbols[right]);
    if (merge != nullptr) heap.push({merge->rank, left, symbols[left], symbols[right], merge->result});
  };
  for (std::uint32_t i = 0; i < size; ++i) next[i] = i + 1, previous[i] = i - 1;
  for (std::uint32_t i = 0; i < size; ++i) consider(i);
  while (!heap.empty()) {
    const Candidate top = heap.top();
    heap.pop();
    const std::uint32_t right = symbols[top.left] == top.left_id ? next[top.left] : size;
    if (right == size || symbols[right] != top.right_id) continue;
    symbols[top.left] = top.result;
    symbols[right] = kNone;
    next[top.left] = next[right];
    if (next[right] != size) previous[next[right]] = top.left;
    if (top.left != 0) consider(previous[top.left]);
    consider(top.left);
  }
  ids.erase(std::remove(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end(), kNone), ids.end());
}

}  // namespace longsight::data
