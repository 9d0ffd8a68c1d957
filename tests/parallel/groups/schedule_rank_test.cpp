#include <doctest/doctest.h>

#include "parallel/gradient_sync.h"
#include "parallel/groups/schedule.h"
#include "parallel/replica_check.h"
#include "tests/support/listed.h"
#include "tests/support/rank_test.h"

using namespace longsight;
using namespace longsight::parallel;

namespace {

// What agree() throws, on this rank.
std::string disagreement(const Schedule& schedule, ProcessGroup& group) {
  try {
    agree(schedule, group, {});
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::internal);
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Rank r sends r + 1 elements to the next one.
std::vector<Counts::Pair> ring_pairs(i64 ranks) {
  std::vector<Counts::Pair> pairs;
  for (i64 r = 0; r < ranks; ++r) pairs.push_back({r, (r + 1) % ranks, r + 1});
  return pairs;
}

Exchange ring(i64 ranks, const std::string& label) {
  return all_to_all(label, Counts::pairs(ranks, ring_pairs(ranks)));
}

Schedule two_layers(i64 ranks) {
  Schedule schedule;
  schedule.add("world", DType::F32, std::vector{ring(ranks, "layer.0"), ring(ranks, "layer.1")});
  schedule.add_all_reduce_sum("world", "gradients", DType::F32, 7);
  return schedule;
}

void run_layer(ProcessGroup& group, const char* label) {
  const Exchange exchange = ring(group.size(), label);
  std::vector<float> send(static_cast<std::size_t>(exchange.counts.total_sent_by(group.rank())),
                          static_cast<float>(group.rank()));
  std::vector<float> recv(static_cast<std::size_t>(exchange.counts.total_received_by(group.rank())), -1.0f);
  const auto tensor = [](std::vector<float>& x) {
    return Tensor(x.data(), DType::F32, {static_cast<i64>(x.size())});
  };
  exchange.run(tensor(send), tensor(recv), group, {});
  const int from = (group.rank() + group.size() - 1) % group.size();
  CHECK(recv == std::vector<float>(static_cast<std::size_t>(from + 1), static_cast<float>(from)));
}

}  // namespace

TEST_CASE("equal schedules agree") {
  CHECK(disagreement(two_layers(test_world().size()), test_world()) == "");
  CHECK(disagreement({}, test_world()) == "");
}

TEST_CASE("two ranks with different counts stop all ranks, and the error names entry, counts and both") {
  ProcessGroup& world = test_world();
  if (world.size() < 2) return;
  // Each rank in turn is wrong about what it sends, and about what it receives.
  for (int odd = 0; odd < world.size(); ++odd) {
    for (bool sends : {true, false}) {
      const i64 other = (odd + (sends ? 1 : world.size() - 1)) % world.size(), from = sends ? odd : other,
                to = sends ? other : odd;
      Schedule schedule;
      schedule.add_all_reduce_sum("world", "same", DType::F32, 3);
      auto pairs = ring_pairs(world.size());
      if (world.rank() == odd) pairs.push_back({from, to, 90});
      schedule.add("world", DType::F32, all_to_all("vision.3.qkv", Counts::pairs(world.size(), pairs)));
      const std::string error = disagreement(schedule, world);
      CAPTURE(error);
      CHECK(has(error, "Entry 1, all_to_all \"vision.3.qkv\" world f32: "));
      const i64 right = from + 1;
      CHECK(has(error, fmt::format("rank {} sends {} to rank {}, which expects {}", from,
                                   sends ? right + 90 : right, to, sends ? right : right + 90)));
    }
  }
}

TEST_CASE("what a rank believes of two others is no concern of anybody's") {
  ProcessGroup& world = test_world();
  if (world.size() < 3) return;
  Schedule schedule;
  auto pairs = ring_pairs(world.size());
  if (world.rank() == 2) pairs.push_back({0, 1, 90});
  schedule.add("world", DType::F32, all_to_all("x", Counts::pairs(world.size(), pairs)));
  CHECK(disagreement(schedule, world) == "");
}

TEST_CASE("one rank without the gradient sum, or without the replica check, stops all ranks") {
  ProcessGroup& world = test_world();
  if (world.size() < 2) return;
  const std::vector<Interval> two{{0, 10}, {20, 10}};
  const auto buckets = gradient_buckets(two, 1, 1);
  for (int odd = 0; odd < world.size(); ++odd) {
    for (int missing = 0; missing < 3; ++missing) {
      const bool mine = world.rank() == odd;
      const Schedule schedule = listed([&](ProcessGroup& group, Stream stream) {
        Arena scratch("traced", Backend::trace);
        const Tensor values = scratch.take(DType::F32, {30}, "gradients");
        sum_gradients(
            values,
            std::span(buckets).subspan(0, mine && missing < 2 ? static_cast<std::size_t>(missing) : 2), group,
            scratch, stream);
        const Tensor hashes = scratch.take(DType::I64, {group.size(), 2}, "hashes");
        if (!mine || missing < 2) hash_replicas(hashes, values, group, stream);
      });
      const std::string error = disagreement(schedule, world);
      CAPTURE(error);
      CHECK(has(error, fmt::format("Entry {}: rank", missing)));
      CHECK(has(error, missing < 2 ? "\"gradients\"" : "the end of the list"));
      CHECK(has(error, "\"replica check\""));
      CHECK(has(error, fmt::format("rank {} has", odd)));
    }
  }
}

TEST_CASE("one rank with another operation, order or length stops all ranks") {
  ProcessGroup& world = test_world();
  if (world.size() < 2) return;
  Schedule operation = two_layers(world.size());
  if (world.rank() == 0) {
    operation = {};
    operation.add("world", DType::F32,
                  all_gather("layer.0", std::vector<i64>(static_cast<std::size_t>(world.size()), 1)));
  }
  CHECK(has(disagreement(operation, world), "Entry 0: rank 0 has all_gather"));

  Schedule order;
  for (int i : {0, 1}) order.add_all_reduce_sum("world", (i == world.rank() % 2) ? "a" : "b", DType::F32, 4);
  CHECK(has(disagreement(order, world), "Entry 0: rank"));

  Schedule shorter = two_layers(world.size());
  if (world.rank() == 1) shorter.add_all_reduce_sum("world", "one more", DType::F64, 1);
  const std::string error = disagreement(shorter, world);
  CHECK(has(error, "Entry 3"));
  CHECK(has(error, "the end of the list"));
  CHECK(has(error, "\"one more\""));
}

TEST_CASE("after a disagreement the group still works: nothing of the schedule was issued") {
  ProcessGroup& world = test_world();
  Schedule schedule;
  schedule.add_all_reduce_sum("world", "x", DType::F32, world.rank());
  const std::string error = disagreement(schedule, world);
  CHECK((world.size() > 1) == has(error, "nothing was issued"));
  CHECK(world.all_reduce_sum(i64{1}, {}) == world.size());
}

TEST_CASE("a scheduled group executes its list, with the results and counters of the group it wraps") {
  ProcessGroup& world = test_world();
  const Schedule schedule = two_layers(world.size());
  agree(schedule, world, {});
  ScheduleCursor cursor(schedule);
  ScheduledGroup group(world, cursor);
  world.reset_counters();
  run_layer(group, "layer.0");
  run_layer(group, "");  // without a label the rest must fit
  std::vector<float> ones(7, 1.0f);
  group.all_reduce_sum(Tensor(ones.data(), DType::F32, {7}), {}, "gradients");
  CHECK(ones == std::vector<float>(7, static_cast<float>(world.size())));
  CHECK(world.counters().calls == 3);
  CHECK(world.counters().bytes_sent == group.counters().bytes_sent);
  cursor.finish();
}

TEST_CASE("a wrong next call throws before it is issued, so the right one can still follow") {
  ProcessGroup& world = test_world();
  ScheduleCursor cursor(two_layers(world.size()));
  ScheduledGroup group(world, cursor);
  world.reset_counters();
  // Only one rank makes the mistake: had it been issued, the others would not answer it.
  if (world.rank() == world.size() - 1) {
    std::vector<float> values(7);
    CHECK_THROWS_WITH_AS(
        group.all_reduce_sum(Tensor(values.data(), DType::F32, {7}), {}, "gradients"),
        doctest::Contains("was not issued: entry 0 of 3 in the schedule is all_to_all \"layer.0\""), Error);
    CHECK_THROWS_AS(run_layer(group, "layer.1"), Error);
    CHECK_THROWS_AS(group.barrier({}), Error);
    CHECK(world.counters().calls == 0);
  }
  run_layer(group, "layer.0");
  CHECK_THROWS_WITH_AS(cursor.finish(), doctest::Contains("2 of 3 scheduled collectives were not issued"),
                       Error);
  run_layer(group, "layer.1");
  world.barrier({});
}

TEST_CASE("a transfer concerns its two ranks, the others go on to what follows it") {
  ProcessGroup& world = test_world();
  if (world.size() < 2) return;
  const int last = world.size() - 1;
  Schedule schedule;
  std::vector<Counts::Pair> next_of;
  for (i64 r = 0; r < world.size(); ++r) next_of.push_back({r, (r + 1) % world.size(), 2});
  schedule.add({Operation::transfer, "hand over", "world", DType::I64, {}, 2, 0, last});
  schedule.add({Operation::broadcast, "root", "world", DType::I64, {}, 2, last});
  schedule.add({Operation::shift, "ring", "world", DType::I64, Counts::pairs(world.size(), next_of), 0, 1});
  schedule.add({Operation::barrier, "end", "world", DType::U8});
  agree(schedule, world, {});
  ScheduleCursor cursor(schedule);
  ScheduledGroup group(world, cursor);
  std::vector<i64> pair{world.rank(), 5};
  if (world.rank() == 0) group.send(pair.data(), 2, DType::I64, last, {}, "hand over");
  if (world.rank() == last) group.recv(pair.data(), 2, DType::I64, 0, {}, "hand over");
  group.broadcast(pair.data(), 2, DType::I64, last, {}, "root");
  CHECK(pair == std::vector<i64>{0, 5});
  std::vector<i64> next(2);
  pair[0] = world.rank();
  group.shift(pair.data(), 2, next.data(), 2, 1, DType::I64, {}, "ring");
  CHECK(next[0] == (world.rank() + last) % world.size());
  group.barrier({}, "end");
  cursor.finish();
}

TEST_CASE("groups of two kinds follow one list") {
  ProcessGroup& world = test_world();
  const auto pair = world.split(world.rank() / 2, world.rank(), "pair");
  Schedule schedule;
  schedule.add_all_reduce_sum("pair", "inside", DType::F64, 1);
  schedule.add_all_reduce_sum("world", "outside", DType::F64, 1);
  ScheduleCursor cursor(schedule);
  ScheduledGroup in_pair(*pair, cursor);
  ScheduledGroup in_world(world, cursor);
  CHECK_THROWS_WITH_AS(in_world.all_reduce_sum(1.0, {}, "outside"),
                       doctest::Contains("group world, not pair"), Error);
  CHECK(in_pair.all_reduce_sum(1.0, {}, "inside") == pair->size());
  CHECK(in_world.all_reduce_sum(1.0, {}, "outside") == world.size());
  cursor.finish();
  CHECK_THROWS_AS(in_world.split(0, 0, "more"), Error);
}
