#include "parallel/layout/counts.h"

#include <algorithm>
#include <numeric>
#include <random>

#include <doctest/doctest.h>

#include "parallel/layout/cuts.h"
#include "runtime/tensor/sharding.h"

using namespace longsight;
using namespace longsight::parallel;

namespace {

using Table = std::vector<std::vector<i64>>;

i64 draw(std::mt19937& random, i64 first, i64 last) {
  return std::uniform_int_distribution<i64>(first, last)(random);
}

// All that is told of the counts, against a table that was counted one by one.
void check_is(const Counts& counts, const Table& table) {
  const i64 ranks = static_cast<i64>(table.size());
  REQUIRE(counts.ranks() == ranks);
  i64 total = 0;
  Wire wire;
  for (i64 r = 0; r < ranks; ++r) {
    const auto me = static_cast<std::size_t>(r);
    std::vector<i64> column;
    for (const auto& row : table) column.push_back(row[me]);
    const auto sum = [](const std::vector<i64>& values) {
      return std::accumulate(values.begin(), values.end(), i64{0});
    };
    const auto peers = [](const std::vector<i64>& values) {
      return static_cast<i64>(values.size()) - std::count(values.begin(), values.end(), 0);
    };
    CHECK(counts.sent_by(r) == table[me]);
    CHECK(counts.received_by(r) == column);
    CHECK(counts.total_sent_by(r) == sum(table[me]));
    CHECK(counts.total_received_by(r) == sum(column));
    CHECK(counts.receivers_of(r) == peers(table[me]));
    CHECK(counts.senders_to(r) == peers(column));
    for (i64 to = 0; to < ranks; ++to) CHECK(counts.at(r, to) == table[me][static_cast<std::size_t>(to)]);
    total += sum(table[me]);
    const i64 kept = table[me][me], itself = kept > 0 ? 1 : 0;
    wire.total += 8 * (sum(table[me]) - kept);
    wire.fullest = std::max({wire.fullest, 8 * (sum(table[me]) - kept), 8 * (sum(column) - kept)});
    wire.messages = std::max({wire.messages, peers(table[me]) - itself, peers(column) - itself});
  }
  CHECK(counts.total() == total);
  CHECK(wire_of(counts, 8) == wire);
  for (const i64 node : {1, 2, 3, 100}) {
    Wire between = wire;
    for (i64 r = 0; r < ranks; ++r) {
      i64 sent = 0, received = 0, receivers = 0, senders = 0;
      for (i64 peer = 0; peer < ranks; ++peer) {
        if (peer / node == r / node) continue;
        const i64 there = table[static_cast<std::size_t>(r)][static_cast<std::size_t>(peer)],
                  back = table[static_cast<std::size_t>(peer)][static_cast<std::size_t>(r)];
        sent += there;
        received += back;
        receivers += there > 0;
        senders += back > 0;
      }
      between.fullest_between = std::max({between.fullest_between, 8 * sent, 8 * received});
      between.messages_between = std::max({between.messages_between, receivers, senders});
    }
    CHECK(wire_of(counts, 8, node) == between);
  }
}

Table transposed(const Table& table) {
  Table result(table.size(), std::vector<i64>(table.size()));
  for (std::size_t from = 0; from < table.size(); ++from) {
    for (std::size_t to = 0; to < table.size(); ++to) result[to][from] = table[from][to];
  }
  return result;
}

void check_all_ways(const Counts& counts, const Table& table) {
  check_is(counts, table);
  check_is(counts.transposed(), transposed(table));
  Table wide = table;
  for (auto& row : wide) {
    for (i64& count : row) count *= 6;
  }
  check_is(counts.times(2).times(3), wide);
  check_is(counts.times(6).transposed(), transposed(wide));
  check_is(counts.times(0), Table(table.size(), std::vector<i64>(table.size(), 0)));
}

template <class F>
Table table_of(i64 ranks, F&& count) {
  Table table(static_cast<std::size_t>(ranks));
  for (i64 from = 0; from < ranks; ++from) {
    for (i64 to = 0; to < ranks; ++to) table[static_cast<std::size_t>(from)].push_back(count(from, to));
  }
  return table;
}

}  // namespace

TEST_CASE("counts of every form tell what a table of all pairs would, also the way back and in elements") {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const i64 ranks = draw(random, 1, 9);
    std::vector<i64> rows, columns;
    for (i64 r = 0; r < ranks; ++r) {
      rows.push_back(draw(random, 0, 3) * draw(random, 0, 9));
      columns.push_back(draw(random, 0, 3) * draw(random, 0, 9));
    }
    check_all_ways(Counts::product(rows, columns), table_of(ranks, [&](i64 from, i64 to) {
                     return rows[static_cast<std::size_t>(from)] * columns[static_cast<std::size_t>(to)];
                   }));

    const i64 elements = draw(random, 0, 40);
    check_all_ways(Counts::equal_shares(elements, ranks), table_of(ranks, [&](i64 from, i64) {
                     return share_of(elements, from, ranks).elements();
                   }));

    // Ranges that are a cut, and ranges that overlap, with begins and ends that ascend.
    const Cuts cuts = even_cuts(draw(random, 0, 40), ranks);
    std::vector<RowRange> held, wanted;
    for (i64 r = 0; r < ranks; ++r) {
      held.push_back({cuts.begin(r), cuts.end(r)});
      const RowRange last = wanted.empty() ? RowRange{} : wanted.back();
      const i64 begin = std::max(last.begin, cuts.begin(r) - draw(random, 0, 7));
      wanted.push_back({begin, std::max({begin, last.end, cuts.end(r)})});
      if (draw(random, 0, 4) == 0) wanted.back() = {last.end, last.end};
    }
    const auto check_common = [&](const std::vector<std::vector<RowRange>>& some_held,
                                  const std::vector<std::vector<RowRange>>& some_wanted) {
      check_all_ways(Counts::common(some_held, some_wanted), table_of(ranks, [&](i64 from, i64 to) {
                       i64 count = 0;
                       for (const RowRange& a : some_held[static_cast<std::size_t>(from)]) {
                         for (const RowRange& b : some_wanted[static_cast<std::size_t>(to)])
                           for (i64 row = a.begin; row < a.end; ++row) count += row >= b.begin && row < b.end;
                       }
                       return count;
                     }));
    };
    std::vector<std::vector<RowRange>> one_held, one_wanted;
    for (const RowRange& range : held) one_held.push_back({range});
    for (const RowRange& range : wanted) one_wanted.push_back({range});
    check_common(one_held, one_wanted);
    // Several ranges of a rank: a zigzag, and what its ranks want in two places.
    const Cuts zigzag = zigzag_cuts(cuts.total(), ranks);
    std::vector<std::vector<RowRange>> two_held, two_wanted;
    for (i64 r = 0; r < ranks; ++r) {
      two_held.push_back(zigzag.ranges(r));
      const i64 middle = draw(random, 0, cuts.total()), first = draw(random, 0, middle),
                last = draw(random, middle, cuts.total());
      two_wanted.push_back({{first / 2, first}, {middle, last}});
    }
    check_common(two_held, two_wanted);
    check_common(two_held, one_wanted);
    check_common(one_held, two_wanted);

    for (i64 group = 1; group <= ranks; ++group) {
      if (ranks % group != 0) continue;
      check_all_ways(Counts::product(rows, columns, group), table_of(ranks, [&](i64 from, i64 to) {
                       return from / group == to / group ? rows[static_cast<std::size_t>(from)] *
                                                               columns[static_cast<std::size_t>(to)]
                                                         : 0;
                     }));
    }

    std::vector<Counts::Pair> pairs;
    for (i64 n = draw(random, 0, 20); n > 0; --n)
      pairs.push_back({draw(random, 0, ranks - 1), draw(random, 0, ranks - 1), draw(random, 0, 5)});
    check_all_ways(Counts::pairs(ranks, pairs), table_of(ranks, [&](i64 from, i64 to) {
                     i64 count = 0;
                     for (const auto& pair : pairs)
                       count += pair.from == from && pair.to == to ? pair.count : 0;
                     return count;
                   }));
  }
}

TEST_CASE("the fingerprint tells other numbers, the way back and other widths apart") {
  const Counts counts = Counts::product({1, 2, 3}, {4, 5, 6});
  CHECK(counts.fingerprint() == Counts::product({1, 2, 3}, {4, 5, 6}).fingerprint());
  CHECK(counts.fingerprint() != counts.transposed().fingerprint());
  CHECK(counts.fingerprint() != counts.times(2).fingerprint());
  CHECK(counts.fingerprint() != Counts::product({1, 2, 3}, {4, 5, 7}).fingerprint());
  CHECK(counts.fingerprint() == counts.transposed().transposed().fingerprint());
  const Counts shares = Counts::equal_shares(10, 3);
  CHECK(shares.fingerprint() == Counts::equal_shares(10, 3).fingerprint());
  CHECK(shares.fingerprint() != Counts::equal_shares(11, 3).fingerprint());
  CHECK(shares.fingerprint() != Counts::equal_shares(10, 4).fingerprint());
  CHECK(shares.fingerprint() != shares.transposed().fingerprint());
}

TEST_CASE("counts of a hundred thousand ranks take memory and time of the ranks, not of their pairs") {
  const i64 ranks = 100'000;
  const Counts counts = Counts::product(std::vector<i64>(ranks, 3), std::vector<i64>(ranks, 2)).times(10);
  CHECK(counts.total_sent_by(5) == 6'000'000);
  CHECK(counts.sent_by(7).size() == ranks);
  CHECK(wire_of(counts, 4).total == 4 * ranks * (6'000'000 - 60));
}
