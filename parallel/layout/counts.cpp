#include "parallel/layout/counts.h"

#include <algorithm>
#include <numeric>
#include <span>

#include <xxhash.h>

#include "runtime/tensor/sharding.h"

namespace longsight::parallel {
namespace {

u64 hash_of(const void* data, std::size_t bytes, u64 seed) {
  return XXH3_64bits_withSeed(data, bytes, seed);
}

}  // namespace

// The rows that ranges have in common with a prefix of the stream.
class Coverage {
 public:
  explicit Coverage(const std::vector<RowRange>& ranges) {
    for (const RowRange& range : ranges) {
      if (range.begin == range.end) continue;
      begins_.push_back(range.begin);
      ends_.push_back(range.end);
    }
    std::sort(begins_.begin(), begins_.end());
    std::sort(ends_.begin(), ends_.end());
    begin_sums_ = sums(begins_);
    end_sums_ = sums(ends_);
  }

  i64 rows_before(i64 row) const {
    const std::size_t ended = count_below(ends_, row + 1), begun = count_below(begins_, row);
    return end_sums_[ended] + row * static_cast<i64>(begun - ended) - begin_sums_[begun];
  }
  // How many ranges have a row in [begin, end).
  i64 touching(RowRange range) const {
    if (range.begin == range.end) return 0;
    return static_cast<i64>(count_below(begins_, range.end)) -
           static_cast<i64>(count_below(ends_, range.begin + 1));
  }

 private:
  static std::vector<i64> sums(const std::vector<i64>& values) {
    std::vector<i64> result{0};
    for (i64 value : values) result.push_back(result.back() + value);
    return result;
  }
  static std::size_t count_below(const std::vector<i64>& ascending, i64 value) {
    return static_cast<std::size_t>(std::lower_bound(ascending.begin(), ascending.end(), value) -
                                    ascending.begin());
  }
  std::vector<i64> begins_, ends_, begin_sums_, end_sums_;
};

// Counts as a sender sees them.
class Counts::Form {
 public:
  virtual ~Form() = default;
  virtual i64 ranks() const = 0;
  virtual i64 at(i64 from, i64 to) const = 0;
  virtual i64 total(i64 from) const = 0;
  virtual i64 receivers(i64 from) const = 0;
  virtual u64 fingerprint() const = 0;
  virtual Part within(i64 from, i64 first, i64 last) const = 0;
  virtual i64 moved() const {
    i64 elements = 0;
    for (i64 r = 0; r < ranks(); ++r) elements += total(r) - at(r, r);
    return elements;
  }
  virtual std::vector<i64> telling_ranks(i64) const {
    std::vector<i64> all(static_cast<std::size_t>(ranks()));
    std::iota(all.begin(), all.end(), i64{0});
    return all;
  }

  std::vector<i64> row(i64 from, i64 columns) const {
    std::vector<i64> counts;
    counts.reserve(static_cast<std::size_t>(ranks()));
    for (i64 to = 0; to < ranks(); ++to) counts.push_back(checked_mul(at(from, to), columns));
    return counts;
  }
};

class Counts::Product final : public Form {
 public:
  Product(std::vector<i64> mine, std::vector<i64> theirs, i64 group)
      : mine_(std::move(mine)), theirs_(std::move(theirs)), group_(group) {
    for (i64 value : theirs_)
      before_.push_back({before_.back().elements + value, before_.back().ranks + (value > 0)});
  }

  i64 ranks() const override { return static_cast<i64>(mine_.size()); }
  i64 at(i64 from, i64 to) const override {
    return group_of(from) == group_of(to) ? checked_mul(of(mine_, from), of(theirs_, to)) : 0;
  }
  i64 total(i64 from) const override { return Product::within(from, 0, ranks()).elements; }
  i64 receivers(i64 from) const override { return Product::within(from, 0, ranks()).ranks; }
  Part within(i64 from, i64 first, i64 last) const override {
    const i64 rows = of(mine_, from), group = group_of(from) * group_;
    first = std::max(first, group);
    last = std::min(last, group + group_);
    if (rows == 0 || first >= last) return {};
    const Part &begin = before_[static_cast<std::size_t>(first)],
               &end = before_[static_cast<std::size_t>(last)];
    return {checked_mul(rows, end.elements - begin.elements), end.ranks - begin.ranks};
  }
  u64 fingerprint() const override {
    return hash_of(theirs_.data(), theirs_.size() * sizeof(i64),
                   hash_of(mine_.data(), mine_.size() * sizeof(i64), hash_of(&group_, sizeof group_, 1)));
  }

 private:
  // Most are of one group, and asked for each two of thousands of ranks: a division would take most of the
  // time.
  i64 group_of(i64 rank) const { return group_ == ranks() ? 0 : rank / group_; }
  static i64 of(const std::vector<i64>& values, i64 place) { return values[static_cast<std::size_t>(place)]; }

  std::vector<i64> mine_, theirs_;
  i64 group_;                         // ranks
  std::vector<Part> before_{{0, 0}};  // of theirs, before each rank and in all
};

// Ranges of each rank.
class RangesOfRanks {
 public:
  explicit RangesOfRanks(const std::vector<std::vector<RowRange>>& of_ranks) {
    for (const std::vector<RowRange>& of_rank : of_ranks) {
      all_.insert(all_.end(), of_rank.begin(), of_rank.end());
      most_ = std::max(most_, static_cast<i64>(of_rank.size()));
      first_.push_back(all_.size());
    }
  }

  i64 ranks() const { return static_cast<i64>(first_.size()) - 1; }
  i64 most() const { return most_; }  // of one rank
  const std::vector<RowRange>& all() const { return all_; }
  std::span<const RowRange> of(i64 rank) const {
    const auto r = static_cast<std::size_t>(rank);
    return std::span(all_).subspan(first_[r], first_[r + 1] - first_[r]);
  }
  u64 hash(u64 seed) const {
    return hash_of(first_.data(), first_.size() * sizeof(std::size_t),
                   hash_of(all_.data(), all_.size() * sizeof(RowRange), seed));
  }

 private:
  std::vector<RowRange> all_;
  std::vector<std::size_t> first_{0};
  i64 most_ = 0;
};

class Counts::Common final : public Form {
 public:
  Common(RangesOfRanks mine, RangesOfRanks theirs)
      : mine_(std::move(mine)), theirs_(std::move(theirs)), coverage_(theirs_.all()) {}

  i64 ranks() const override { return mine_.ranks(); }
  i64 at(i64 from, i64 to) const override {
    i64 rows = 0;
    for (const RowRange& a : mine_.of(from)) {
      for (const RowRange& b : theirs_.of(to))
        rows += std::max<i64>(0, std::min(a.end, b.end) - std::max(a.begin, b.begin));
    }
    return rows;
  }
  i64 total(i64 from) const override {
    i64 rows = 0;
    for (const RowRange& range : mine_.of(from))
      rows += coverage_.rows_before(range.end) - coverage_.rows_before(range.begin);
    return rows;
  }
  i64 receivers(i64 from) const override {
    const auto mine = mine_.of(from);
    if (mine.empty()) return 0;
    if (mine.size() == 1 && theirs_.most() <= 1) return coverage_.touching(mine.front());
    i64 count = 0;
    for (i64 to = 0; to < ranks(); ++to) count += at(from, to) > 0;
    return count;
  }
  Part within(i64 from, i64 first, i64 last) const override {
    Part part;
    for (i64 to = first; to < last; ++to) {
      const i64 rows = Common::at(from, to);
      part.elements += rows;
      part.ranks += rows > 0;
    }
    return part;
  }
  u64 fingerprint() const override { return theirs_.hash(mine_.hash(2)); }

 private:
  RangesOfRanks mine_, theirs_;
  Coverage coverage_;
};

// Near-equal shares of so many elements: each sender's goes to every receiver, or each receiver's comes from
// every sender.
class Counts::EqualShares final : public Form {
 public:
  EqualShares(i64 elements, i64 ranks, bool of_senders)
      : elements_(elements), ranks_(ranks), of_senders_(of_senders) {}

  i64 ranks() const override { return ranks_; }
  i64 at(i64 from, i64 to) const override { return share(of_senders_ ? from : to).elements(); }
  i64 total(i64 from) const override {
    return of_senders_ ? checked_mul(share(from).elements(), ranks_) : elements_;
  }
  i64 receivers(i64 from) const override { return EqualShares::within(from, 0, ranks_).ranks; }
  u64 fingerprint() const override {
    const i64 numbers[] = {elements_, ranks_, of_senders_};
    return hash_of(numbers, sizeof numbers, 4);
  }
  Part within(i64 from, i64 first, i64 last) const override {
    if (of_senders_) {
      const i64 own = share(from).elements();
      return {checked_mul(own, last - first), own > 0 ? last - first : 0};
    }
    // The first ranks have one more, so those without any are the last ones.
    const i64 with_some = std::min(elements_, ranks_);
    return {share(last - 1).end - share(first).begin, std::max<i64>(0, std::min(last, with_some) - first)};
  }
  i64 moved() const override { return checked_mul(elements_, ranks_ - 1); }
  // Shares shrink with the rank, and the last node may have fewer ranks.
  std::vector<i64> telling_ranks(i64 node) const override {
    return {0, node == 0 ? 0 : (ranks_ - 1) / node * node, ranks_ - 1};
  }

 private:
  Share share(i64 rank) const { return share_of(elements_, rank, ranks_); }

  i64 elements_, ranks_;
  bool of_senders_;
};

class Counts::Pairs final : public Form {
 public:
  // Sorted by sender and receiver, each pair once, none of them empty.
  Pairs(i64 ranks, std::vector<Pair> pairs) : pairs_(std::move(pairs)) {
    first_.assign(static_cast<std::size_t>(ranks) + 1, 0);
    for (const Pair& pair : pairs_) ++first_[static_cast<std::size_t>(pair.from) + 1];
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
  }

  i64 ranks() const override { return static_cast<i64>(first_.size()) - 1; }
  i64 at(i64 from, i64 to) const override {
    const auto [begin, end] = of(from);
    const auto found =
        std::lower_bound(begin, end, to, [](const Pair& pair, i64 rank) { return pair.to < rank; });
    return found == end || found->to != to ? 0 : found->count;
  }
  i64 total(i64 from) const override {
    const auto [begin, end] = of(from);
    return std::accumulate(begin, end, i64{0}, [](i64 n, const Pair& pair) { return n + pair.count; });
  }
  i64 receivers(i64 from) const override {
    const auto [begin, end] = of(from);
    return end - begin;
  }
  Part within(i64 from, i64 first, i64 last) const override {
    Part part;
    const auto [begin, end] = of(from);
    for (auto pair = begin; pair != end; ++pair) {
      if (pair->to < first || pair->to >= last) continue;
      part.elements += pair->count;
      part.ranks += 1;
    }
    return part;
  }
  u64 fingerprint() const override {
    return hash_of(pairs_.data(), pairs_.size() * sizeof(Pair), static_cast<u64>(ranks()) + 3);
  }

 private:
  using Place = std::vector<Pair>::const_iterator;
  std::pair<Place, Place> of(i64 from) const {
    const auto r = static_cast<std::size_t>(from);
    return {pairs_.begin() + first_[r], pairs_.begin() + first_[r + 1]};
  }

  std::vector<Pair> pairs_;
  std::vector<std::ptrdiff_t> first_;  // of each sender
};

Counts Counts::product(std::vector<i64> by_sender, std::vector<i64> by_receiver, i64 group) {
  check(by_sender.size() == by_receiver.size(), "{} senders and {} receivers", by_sender.size(),
        by_receiver.size());
  const auto ranks = static_cast<i64>(by_sender.size());
  if (group == 0) group = ranks;
  check(ranks == 0 || ranks % group == 0, "{} ranks in groups of {}", ranks, group);
  return {std::make_shared<Product>(by_sender, by_receiver, group),
          std::make_shared<Product>(by_receiver, by_sender, group), 1};
}

Counts Counts::common(const std::vector<std::vector<RowRange>>& held,
                      const std::vector<std::vector<RowRange>>& wanted) {
  check(held.size() == wanted.size(), "{} senders and {} receivers", held.size(), wanted.size());
  const RangesOfRanks forth(held), back(wanted);
  return {std::make_shared<Common>(forth, back), std::make_shared<Common>(back, forth), 1};
}

Counts Counts::equal_shares(i64 elements, i64 ranks) {
  check(elements >= 0 && ranks > 0, "{} elements dealt over {} ranks", elements, ranks);
  return {std::make_shared<EqualShares>(elements, ranks, true),
          std::make_shared<EqualShares>(elements, ranks, false), 1};
}

Counts Counts::pairs(i64 ranks, std::vector<Pair> pairs) {
  const auto sorted = [&] {
    std::sort(pairs.begin(), pairs.end(),
              [](const Pair& a, const Pair& b) { return std::pair(a.from, a.to) < std::pair(b.from, b.to); });
    std::vector<Pair> once;
    for (const Pair& pair : pairs) {
      check(pair.from >= 0 && pair.from < ranks && pair.to >= 0 && pair.to < ranks && pair.count >= 0,
            "{} elements from rank {} to rank {} of {}", pair.count, pair.from, pair.to, ranks);
      if (pair.count == 0) continue;
      if (!once.empty() && once.back().from == pair.from && once.back().to == pair.to) {
        once.back().count += pair.count;
      } else {
        once.push_back(pair);
      }
    }
    return std::make_shared<Pairs>(ranks, std::move(once));
  };
  const auto forth = sorted();
  for (Pair& pair : pairs) std::swap(pair.from, pair.to);
  return {forth, sorted(), 1};
}

i64 Counts::ranks() const {
  return forth_ ? forth_->ranks() : 0;
}
i64 Counts::at(i64 from, i64 to) const {
  return checked_mul(forth_->at(from, to), columns_);
}
std::vector<i64> Counts::sent_by(i64 rank) const {
  return forth_->row(rank, columns_);
}
std::vector<i64> Counts::received_by(i64 rank) const {
  return back_->row(rank, columns_);
}
i64 Counts::total_sent_by(i64 rank) const {
  return checked_mul(forth_->total(rank), columns_);
}
i64 Counts::total_received_by(i64 rank) const {
  return checked_mul(back_->total(rank), columns_);
}
i64 Counts::total() const {
  i64 elements = 0;
  for (i64 r = 0; r < ranks(); ++r) elements += total_sent_by(r);
  return elements;
}
i64 Counts::receivers_of(i64 rank) const {
  return columns_ == 0 ? 0 : forth_->receivers(rank);
}
i64 Counts::senders_to(i64 rank) const {
  return columns_ == 0 ? 0 : back_->receivers(rank);
}
Counts::Part Counts::sent_within(i64 rank, i64 first, i64 last) const {
  const Part part = forth_->within(rank, first, last);
  return {checked_mul(part.elements, columns_), columns_ == 0 ? 0 : part.ranks};
}
Counts::Part Counts::received_within(i64 rank, i64 first, i64 last) const {
  const Part part = back_->within(rank, first, last);
  return {checked_mul(part.elements, columns_), columns_ == 0 ? 0 : part.ranks};
}
i64 Counts::moved() const {
  return forth_ ? checked_mul(forth_->moved(), columns_) : 0;
}
std::vector<i64> Counts::telling_ranks(i64 node) const {
  return forth_ ? forth_->telling_ranks(node) : std::vector<i64>{};
}
Counts Counts::transposed() const {
  return {back_, forth_, columns_};
}
Counts Counts::times(i64 columns) const {
  return {forth_, back_, checked_mul(columns_, columns)};
}
u64 Counts::fingerprint() const {
  return hash_of(&columns_, sizeof columns_, forth_ ? forth_->fingerprint() : 0);
}

// ---- bytes on the wire

Wire& Wire::operator+=(const Wire& other) {
  total += other.total;
  fullest += other.fullest;
  messages += other.messages;
  fullest_between += other.fullest_between;
  messages_between += other.messages_between;
  return *this;
}

Wire wire_of(const Counts& elements, i64 element_bytes, i64 node) {
  Wire wire{.total = elements.moved() * element_bytes};
  for (i64 r : elements.telling_ranks(node)) {
    const i64 kept = elements.at(r, r), itself = kept > 0 ? 1 : 0;
    const i64 sent = elements.total_sent_by(r) - kept, received = elements.total_received_by(r) - kept;
    wire.fullest = std::max({wire.fullest, sent * element_bytes, received * element_bytes});
    const i64 receivers = elements.receivers_of(r) - itself, senders = elements.senders_to(r) - itself;
    wire.messages = std::max({wire.messages, receivers, senders});
    if (node == 0) continue;
    const i64 first = r / node * node, last = std::min(first + node, elements.ranks());
    const Counts::Part to_near = elements.sent_within(r, first, last),
                       from_near = elements.received_within(r, first, last);
    wire.fullest_between = std::max({wire.fullest_between, (sent + kept - to_near.elements) * element_bytes,
                                     (received + kept - from_near.elements) * element_bytes});
    wire.messages_between = std::max(
        {wire.messages_between, receivers + itself - to_near.ranks, senders + itself - from_near.ranks});
  }
  return wire;
}

Wire all_reduce_wire(i64 elements, i64 ranks, i64 element_bytes, i64 node) {
  if (ranks == 1 || elements == 0) return {};
  const i64 bytes = elements * element_bytes, slice = ceil_div(elements, ranks) * element_bytes;
  const i64 far = node == 0 ? 0 : ranks - std::min(node, ranks);  // ranks of other nodes
  return {.total = 2 * (ranks - 1) * bytes,
          .fullest = 2 * (ranks - 1) * slice,
          .messages = 2 * (ranks - 1),
          .fullest_between = 2 * far * slice,
          .messages_between = 2 * far};
}

}  // namespace longsight::parallel
