// Exchanges carry values that name sender, receiver and element, so a wrong place shows, and are compared
// exactly.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <doctest/doctest.h>

#include "tests/support/rank_test.h"

using namespace longsight;
using parallel::ProcessGroup;

namespace {

template <class T>
Tensor view(std::vector<T>& values) {
  return {values.data(), dtype_of<T>(), {static_cast<i64>(values.size())}};
}

// Uneven, with zeros; for three ranks or more some ranks send nothing at all.
i64 count_between(i64 from, i64 to) {
  return from % 3 == 2 ? 0 : (from * 5 + to * 3) % 4;
}

template <class T>
T word(i64 from, i64 to, i64 element) {
  return static_cast<T>(from * 1000 + to * 50 + element);
}

// Different magnitudes in every element, so that another order of summation gives other bits.
template <class T>
T rough_value(i64 rank, i64 element) {
  u64 x = static_cast<u64>(rank + 1) * 0x9E3779B97F4A7C15u + static_cast<u64>(element) * 0xD1B54A32D192ED03u;
  x = (x ^ (x >> 31)) * 0xBF58476D1CE4E5B9u;
  x ^= x >> 29;
  const double mantissa = static_cast<double>(x >> 12) * 0x1p-52 - 0.5;
  return static_cast<T>(mantissa * static_cast<double>(u64{1} << (x & 31)));
}

template <class T>
std::vector<T> rough_values(i64 rank, i64 first, i64 count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (i64 i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = rough_value<T>(rank, first + i);
  return values;
}

template <class T>
std::vector<T> serial_sum(const std::vector<i64>& ranks, i64 first, i64 count) {
  std::vector<T> total = rough_values<T>(ranks[0], first, count);
  for (std::size_t r = 1; r < ranks.size(); ++r) {
    const std::vector<T> values = rough_values<T>(ranks[r], first, count);
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += values[i];
  }
  return total;
}

std::vector<i64> all_ranks(i64 count) {
  std::vector<i64> ranks(static_cast<std::size_t>(count));
  std::iota(ranks.begin(), ranks.end(), i64{0});
  return ranks;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// Elements of a reduction that needs two rounds, the second one shorter.
i64 two_rounds(i64 ranks, i64 element_bytes) {
  return ProcessGroup::reduction_scratch_bytes / element_bytes / std::max<i64>(1, ranks - 1) * ranks + 1001;
}

template <class T>
void check_all_to_all(ProcessGroup& group) {
  const i64 n = group.size();
  const i64 me = group.rank();
  std::vector<i64> send_counts, recv_counts;
  std::vector<T> send, expected;
  for (i64 r = 0; r < n; ++r) {
    send_counts.push_back(count_between(me, r));
    recv_counts.push_back(count_between(r, me));
    for (i64 i = 0; i < send_counts.back(); ++i) send.push_back(word<T>(me, r, i));
    for (i64 i = 0; i < recv_counts.back(); ++i) expected.push_back(word<T>(r, me, i));
  }
  std::vector<T> recv(expected.size(), T{77});
  group.all_to_all_v(view(send), send_counts, view(recv), recv_counts, {}, "words");
  CHECK(recv == expected);
}

}  // namespace

TEST_CASE("an all-to-all with uneven and zero counts puts every element where it belongs") {
  check_all_to_all<float>(test_world());
  check_all_to_all<double>(test_world());
  check_all_to_all<i64>(test_world());
  check_all_to_all<std::int32_t>(test_world());
}

TEST_CASE("two-byte elements are exchanged as they are") {
  ProcessGroup& world = test_world();
  const std::vector<i64> counts(static_cast<std::size_t>(world.size()), 1);
  std::vector<std::uint16_t> send, recv(counts.size());
  for (int r = 0; r < world.size(); ++r)
    send.push_back(static_cast<std::uint16_t>(0xFF00 + 16 * world.rank() + r));
  world.all_to_all_v(send.data(), counts, recv.data(), counts, DType::BF16, {}, "bf16");
  for (int r = 0; r < world.size(); ++r)
    CHECK(recv[static_cast<std::size_t>(r)] == 0xFF00 + 16 * r + world.rank());
}

TEST_CASE("an exchange of nothing is legal for every operation") {
  ProcessGroup& world = test_world();
  const std::vector<i64> none(static_cast<std::size_t>(world.size()), 0);
  world.reset_counters();
  world.all_to_all_v(nullptr, none, nullptr, none, DType::F32, {});
  world.all_gather_v(nullptr, nullptr, none, DType::F32, {});
  world.reduce_scatter_v(nullptr, nullptr, none, DType::F32, {});
  world.shift(nullptr, 0, nullptr, 0, 1, DType::F32, {});
  world.broadcast(nullptr, 0, DType::F32, 0, {});
  world.all_reduce_sum(Tensor(nullptr, DType::F32, {0}), {});
  CHECK(world.counters().bytes_sent == 0);
  CHECK(world.counters().calls == 6);
}

TEST_CASE("a large block arrives whole") {
  ProcessGroup& world = test_world();
  const i64 count = (i64{3} << 20) / world.size() + 1;
  const std::vector<i64> counts(static_cast<std::size_t>(world.size()), count);
  std::vector<i64> send, recv(static_cast<std::size_t>(count * world.size()));
  for (i64 to = 0; to < world.size(); ++to) {
    for (i64 i = 0; i < count; ++i) send.push_back((world.rank() * 8 + to) * 10'000'000 + i);
  }
  world.all_to_all_v(view(send), counts, view(recv), counts, {}, "large");
  bool right = true;
  for (i64 from = 0; from < world.size(); ++from) {
    for (i64 i = 0; i < count; ++i) {
      right &= recv[static_cast<std::size_t>(from * count + i)] == (from * 8 + world.rank()) * 10'000'000 + i;
    }
  }
  CHECK(right);
}

TEST_CASE("all-gather joins the ranks' blocks in rank order, also from its own place") {
  ProcessGroup& world = test_world();
  const i64 me = world.rank();
  std::vector<i64> counts;
  std::vector<float> expected;
  for (i64 r = 0; r < world.size(); ++r) {
    counts.push_back((r * 2 + 1) % 5 == 3 ? 0 : r % 3 + 1);
    for (i64 i = 0; i < counts.back(); ++i) expected.push_back(word<float>(r, 9, i));
  }
  std::vector<float> mine, joined(expected.size(), -1);
  for (i64 i = 0; i < counts[static_cast<std::size_t>(me)]; ++i) mine.push_back(word<float>(me, 9, i));
  world.all_gather_v(view(mine), view(joined), counts, {}, "blocks");
  CHECK(joined == expected);

  std::vector<float> in_place(expected.size(), -1);
  const i64 first = std::accumulate(counts.begin(), counts.begin() + me, i64{0});
  std::copy(mine.begin(), mine.end(), in_place.begin() + first);
  world.all_gather_v(in_place.data() + first, in_place.data(), counts, DType::F32, {}, "blocks");
  CHECK(in_place == expected);
}

TEST_CASE("reduce-scatter sums each rank's block in rank order, bit for bit") {
  ProcessGroup& world = test_world();
  const i64 longest = two_rounds(world.size(), sizeof(float)) / world.size();
  std::vector<i64> counts;
  i64 first = 0;  // of this rank's block
  for (i64 r = 0; r < world.size(); ++r) {
    counts.push_back(r % 3 == 1 ? 0 : longest - 1000 * r);
    if (r < world.rank()) first += counts.back();
  }
  const i64 mine = counts[static_cast<std::size_t>(world.rank())];
  std::vector<float> send =
      rough_values<float>(world.rank(), 0, std::accumulate(counts.begin(), counts.end(), i64{0}));
  std::vector<float> recv(static_cast<std::size_t>(mine));
  world.reduce_scatter_v(view(send), view(recv), counts, {}, "shards");
  const std::vector<float> expected = serial_sum<float>(all_ranks(world.size()), first, mine);
  CHECK(same_bits(recv, expected));

  world.reduce_scatter_v(send.data(), send.data() + first, counts, DType::F32, {}, "shards");
  send.erase(send.begin() + first + mine, send.end());
  send.erase(send.begin(), send.begin() + first);
  CHECK(same_bits(send, expected));
}

TEST_CASE_TEMPLATE(
    "an all-reduce is the sum in rank order, bit for bit, in one round, in two, and for a few elements", T,
    float, double) {
  ProcessGroup& world = test_world();
  for (i64 count : {i64{1}, i64{17}, i64{50'003}, two_rounds(world.size(), sizeof(T))}) {
    CAPTURE(count);
    std::vector<T> values = rough_values<T>(world.rank(), 0, count);
    world.all_reduce_sum(view(values), {}, "sum");
    CHECK(same_bits(values, serial_sum<T>(all_ranks(world.size()), 0, count)));
  }
}

TEST_CASE("another order of summation gives other bits, so the order is really tested") {
  const i64 n = std::max(3, test_world().size());
  std::vector<i64> reversed = all_ranks(n);
  std::reverse(reversed.begin(), reversed.end());
  CHECK(!same_bits(serial_sum<float>(all_ranks(n), 0, 1000), serial_sum<float>(reversed, 0, 1000)));
  CHECK(!same_bits(serial_sum<double>(all_ranks(n), 0, 1000), serial_sum<double>(reversed, 0, 1000)));
}

TEST_CASE("integers are summed exactly and maxima are found") {
  ProcessGroup& world = test_world();
  const i64 n = world.size();
  CHECK(world.all_reduce_sum(i64{1} << world.rank(), {}) == (i64{1} << n) - 1);
  CHECK(world.all_reduce_sum(world.rank() + 0.5, {}) == n * (n - 1) / 2 + 0.5 * n);
  CHECK(world.all_reduce_max(i64{-world.rank()}, {}) == 0);
  CHECK(world.all_reduce_max(world.rank() * 1.5, {}) == (n - 1) * 1.5);
  std::vector<std::int32_t> values(40'000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = (static_cast<i64>(i) % n == world.rank() ? 1000 : -1000) + static_cast<std::int32_t>(i);
  }
  world.all_reduce_max(view(values), {}, "max");
  bool right = true;
  for (std::size_t i = 0; i < values.size(); ++i) right &= values[i] == 1000 + static_cast<std::int32_t>(i);
  CHECK(right);
}

TEST_CASE("a maximum over a NaN on any rank is NaN on all") {
  ProcessGroup& world = test_world();
  for (int bad = 0; bad < world.size(); ++bad) {
    const double mine = world.rank() == bad ? std::numeric_limits<double>::quiet_NaN() : world.rank();
    CHECK(std::isnan(world.all_reduce_max(mine, {})));
  }
}

TEST_CASE("a broadcast gives every rank the root's values, for every root") {
  ProcessGroup& world = test_world();
  for (int root = 0; root < world.size(); ++root) {
    std::vector<float> values(1000);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = word<float>(world.rank(), 3, static_cast<i64>(i));
    world.broadcast(view(values), root, {}, "values");
    bool right = true;
    for (std::size_t i = 0; i < values.size(); ++i)
      right &= values[i] == word<float>(root, 3, static_cast<i64>(i));
    CHECK(right);
  }
}

TEST_CASE("a shift moves blocks around the ring by any offset, and back") {
  ProcessGroup& world = test_world();
  const int n = world.size();
  for (int offset : {1, -1, 2, n, 0, -n - 1}) {
    CAPTURE(offset);
    const int from = ((world.rank() - offset) % n + n) % n;
    std::vector<i64> send(static_cast<std::size_t>(world.rank() % 4)),
        recv(static_cast<std::size_t>(from % 4)), expected;
    for (std::size_t i = 0; i < send.size(); ++i) send[i] = word<i64>(world.rank(), 0, static_cast<i64>(i));
    for (std::size_t i = 0; i < recv.size(); ++i) expected.push_back(word<i64>(from, 0, static_cast<i64>(i)));
    world.shift(view(send), view(recv), offset, {}, "ring");
    CHECK(recv == expected);
  }
}

TEST_CASE("send and recv carry a message from rank to rank along the chain") {
  ProcessGroup& world = test_world();
  std::vector<i64> chain(static_cast<std::size_t>(world.size()), -1);
  if (world.rank() > 0) world.recv(chain.data(), world.size(), DType::I64, world.rank() - 1, {}, "chain");
  chain[static_cast<std::size_t>(world.rank())] = world.rank() * world.rank();
  if (world.rank() + 1 < world.size())
    world.send(chain.data(), world.size(), DType::I64, world.rank() + 1, {}, "chain");
  for (i64 r = 0; r < world.size(); ++r)
    CHECK(chain[static_cast<std::size_t>(r)] == (r <= world.rank() ? r * r : -1));
}

TEST_CASE("structs and texts of any length are gathered from all ranks") {
  struct Report {
    i64 rank;
    double half;
    char letter;
  };
  ProcessGroup& world = test_world();
  const auto reports =
      world.all_gather(Report{world.rank(), world.rank() / 2.0, static_cast<char>('a' + world.rank())}, {});
  const auto texts = world.all_gather(std::string(static_cast<std::size_t>(world.rank() * 3), 'x'), {});
  REQUIRE(static_cast<int>(reports.size()) == world.size());
  for (int r = 0; r < world.size(); ++r) {
    CHECK(reports[static_cast<std::size_t>(r)].rank == r);
    CHECK(reports[static_cast<std::size_t>(r)].half == r / 2.0);
    CHECK(reports[static_cast<std::size_t>(r)].letter == 'a' + r);
    CHECK(texts[static_cast<std::size_t>(r)] == std::string(static_cast<std::size_t>(r * 3), 'x'));
  }
}

TEST_CASE("a split makes groups by color, ordered by key, that work apart from each other") {
  ProcessGroup& world = test_world();
  const int n = world.size();
  // Even and odd ranks, in reverse order.
  const auto half = world.split(world.rank() % 2, n - world.rank(), "half");
  std::vector<i64> members;
  for (i64 r = n - 1; r >= 0; --r) {
    if (r % 2 == world.rank() % 2) members.push_back(r);
  }
  REQUIRE(half->size() == static_cast<int>(members.size()));
  CHECK(members[static_cast<std::size_t>(half->rank())] == world.rank());
  CHECK(half->label() == "half");
  CHECK(half->all_gather(i64{world.rank()}, {}) == members);
  std::vector<float> values = rough_values<float>(world.rank(), 0, 5000);
  half->all_reduce_sum(view(values), {}, "half");
  CHECK(same_bits(values, serial_sum<float>(members, 0, 5000)));
  check_all_to_all<float>(*half);

  const auto quarter = half->split(half->rank() / 2, half->rank(), "quarter");
  CHECK(quarter->all_reduce_sum(i64{1}, {}) == quarter->size());
  CHECK(quarter->size() <= 2);
}

TEST_CASE("counters hold what went to other ranks, the calls and the time inside, until they are reset") {
  ProcessGroup& world = test_world();
  const i64 n = world.size();
  const i64 me = world.rank();
  world.reset_counters();
  std::vector<i64> send_counts, recv_counts;
  i64 others = 0;
  for (i64 r = 0; r < n; ++r) {
    send_counts.push_back(count_between(me, r));
    recv_counts.push_back(count_between(r, me));
    if (r != me) others += send_counts.back();
  }
  std::vector<double> buffer(100);
  std::vector<double> target(100);
  world.all_to_all_v(buffer.data(), send_counts, target.data(), recv_counts, DType::F64, {});
  CHECK(world.counters().bytes_sent == others * 8);
  CHECK(world.counters().calls == 1);
  CHECK(world.counters().seconds > 0);

  world.reset_counters();
  CHECK(world.counters().bytes_sent == 0);
  CHECK(world.counters().seconds == 0);

  // Slices of a tenth to everyone else, then this rank's slice to everyone else.
  std::vector<float> values(static_cast<std::size_t>(n * 10'000), 1.0f);
  world.all_reduce_sum(view(values), {});
  CHECK(world.counters().bytes_sent == 2 * (n - 1) * 10'000 * 4);
  CHECK(world.counters().calls == 1);

  world.reset_counters();
  world.all_gather(1.0f, {});
  world.shift(values.data(), 3, target.data(), 3, 1, DType::F32, {});
  CHECK(world.counters().bytes_sent == (n - 1) * 4 + (n > 1 ? 12 : 0));
  CHECK(world.counters().calls == 2);

  world.reset_counters();
  world.broadcast(view(values), 0, {});
  CHECK(world.counters().bytes_sent == (me == 0 ? (n - 1) * n * 40'000 : 0));
}

TEST_CASE("arguments that cannot be right are refused before anything is sent") {
  ProcessGroup& world = test_world();
  const std::size_t n = static_cast<std::size_t>(world.size());
  std::vector<float> values(n);
  const std::vector<i64> ones(n, 1);
  CHECK_THROWS_AS(world.all_gather_v(view(values), view(values), std::vector<i64>(n + 1, 1), {}), Error);
  CHECK_THROWS_AS(
      world.all_to_all_v(values.data(), std::vector<i64>(n, -1), values.data(), ones, DType::F32, {}), Error);
  std::vector<float> longer(n + 1);
  CHECK_THROWS_AS(world.all_to_all_v(view(values), ones, view(longer), ones, {}), Error);
  std::vector<i64> integers(n);
  CHECK_THROWS_AS(world.all_to_all_v(view(values), ones, view(integers), ones, {}), Error);
  CHECK_THROWS_AS(world.broadcast(view(values), world.size(), {}), Error);
  CHECK_THROWS_AS(world.send(values.data(), 1, DType::F32, world.rank(), {}), Error);
  CHECK_THROWS_AS(world.barrier(Stream{Backend::cuda, nullptr}), Error);
  std::vector<std::uint16_t> halves(4);
  CHECK_THROWS_AS(world.all_reduce_sum(Tensor(halves.data(), DType::F16, {4}), {}), Error);
  // Too many for an MPI count: refused, not truncated (self is no message, so one rank is fine with it).
  if (world.size() > 1) {
    std::vector<i64> huge(n, 0);
    huge[static_cast<std::size_t>((world.rank() + 1) % world.size())] = i64{1} << 31;
    CHECK_THROWS_AS(
        world.all_to_all_v(values.data(), huge, values.data(), std::vector<i64>(n, 0), DType::U8, {}), Error);
  }
  world.barrier({});
}
