// Groups over the memory of a device, staged through the host: every call does what the host's group does, to
// the bit, whatever the order in which streams run.
#include <doctest/doctest.h>

#include "parallel/groups/exchange.h"
#include "parallel/groups/staged_group.h"
#include "runtime/base/philox.h"
#include "runtime/device/simulated_device.h"
#include "runtime/tensor/host_values.h"
#include "tests/support/rank_test.h"

namespace longsight::parallel {
namespace {

// The same program on a group of the host and on one of a device: what it leaves.
struct OnGroup {
  ProcessGroup& group;
  Stream stream;

  OwnedTensor random(i64 count, const char* name) const {
    OwnedTensor x(DType::F64, {count}, name, stream);
    const Philox numbers(static_cast<u64>(group.rank()), name);
    std::vector<double> values;
    for (i64 i = 0; i < count; ++i) values.push_back(numbers.normal(static_cast<u64>(i)));
    write_values<double>(x, values, stream);
    return x;
  }
  void add(std::vector<double>& all, Tensor x) const {
    const std::vector<double> values = read_values<double>(x, stream);
    all.insert(all.end(), values.begin(), values.end());
  }
};

std::vector<double> results_of(const OnGroup& on) {
  ProcessGroup& group = on.group;
  const i64 ranks = group.size(), me = group.rank();
  const auto count = [&](i64 from, i64 to) { return (2 * from + 3 * to) % 4; };  // some are none
  std::vector<i64> sent, received, each;
  i64 out = 0, in = 0, all = 0;
  for (i64 r = 0; r < ranks; ++r) {
    sent.push_back(count(me, r)), received.push_back(count(r, me)), each.push_back(2 * r + 1);
    out += sent.back(), in += received.back(), all += each.back();
  }
  const i64 mine = each[static_cast<std::size_t>(me)];
  const OwnedTensor send = on.random(out, "send"), blocks = on.random(all, "blocks"),
                    small = on.random(3, "small"), large = on.random(40000, "large"),
                    block = on.random(mine, "block"), told = on.random(5, "told");
  const OwnedTensor recv(DType::F64, {in}, "recv", on.stream), gathered(DType::F64, {all}, "all", on.stream),
      scattered(DType::F64, {mine}, "sum", on.stream), shifted(DType::F64, {3}, "shifted", on.stream);
  group.shift(small, shifted, 1, on.stream, "shift");
  group.all_to_all_v(send, sent, recv, received, on.stream, "exchange");
  group.all_gather_v(block, gathered, each, on.stream, "gather");
  group.reduce_scatter_v(blocks, scattered, each, on.stream, "scatter");
  group.all_reduce_sum(small, on.stream, "small sum");
  group.all_reduce_sum(large, on.stream, "large sum");
  group.broadcast(told, static_cast<int>(ranks - 1), on.stream, "broadcast");
  std::vector<double> results;
  for (const OwnedTensor* x : {&recv, &gathered, &scattered, &shifted, &small, &large, &told})
    on.add(results, *x);
  group.all_reduce_max(large, on.stream, "maximum");
  on.add(results, large);
  results.push_back(group.all_reduce_sum(1.5 * static_cast<double>(me), on.stream, "value"));
  results.push_back(static_cast<double>(group.all_gather(me * me, on.stream, "values").back()));
  CHECK(group.all_gather(std::string("rank ") + std::to_string(me), on.stream).back() ==
        "rank " + std::to_string(ranks - 1));
  group.barrier(on.stream, "end");
  return results;
}

TEST_CASE("calls of a staged group have the bits of the host's, under many orders of its streams") {
  const std::vector<double> expected = results_of({test_world(), {}});
  for (u64 seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    SimulatedDevice device({.seed = seed});
    StagedGroup group(test_world(), device);
    CHECK(results_of({group, device.compute()}) == expected);
  }
}

TEST_CASE("a part of a staged group is one of the ranks that gave its color") {
  SimulatedDevice device({.seed = 3});
  StagedGroup world(test_world(), device);
  const int color = world.rank() % 2;
  const auto part = world.split(color, -world.rank(), "part"),
             expected = test_world().split(color, -world.rank(), "part");
  CHECK(part->label() == "part");
  CHECK(part->size() == expected->size());
  CHECK(part->rank() == expected->rank());
  CHECK(results_of({*part, device.compute()}) == results_of({*expected, {}}));
}

TEST_CASE("a staged group refuses a stream of the host, and its work is one after the other") {
  SimulatedDevice device({.records = true});
  StagedGroup group(test_world(), device);
  CHECK_THROWS_AS(group.barrier(Stream{}), Error);
  results_of({group, device.compute()});
  CHECK(device.log().race() == "");
}

}  // namespace
}  // namespace longsight::parallel
