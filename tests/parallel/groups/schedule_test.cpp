#include "parallel/groups/schedule.h"

#include <functional>

#include <doctest/doctest.h>

#include "parallel/groups/self_group.h"

using namespace longsight;
using namespace longsight::parallel;

namespace {

// Rank 0 sends 5 to rank 1, which sends 3 back.
Counts two_ranks(i64 forth = 5, i64 back = 3) {
  return Counts::pairs(2, {{0, 1, forth}, {1, 0, back}});
}

ScheduleEntry base() {
  return {.operation = Operation::all_to_all,
          .label = "vision.0.qkv",
          .group = "sequence",
          .dtype = DType::F32,
          .counts = two_ranks()};
}

Schedule list_of(std::vector<ScheduleEntry> entries) {
  Schedule schedule;
  for (ScheduleEntry& entry : entries) schedule.add(std::move(entry));
  return schedule;
}

Call exchange(const std::vector<i64>& sent, const std::vector<i64>& received,
              const char* label = "vision.0.qkv") {
  return {Operation::all_to_all, label, DType::F32, sent, received};
}

}  // namespace

TEST_CASE("a schedule prints one numbered line per collective") {
  Schedule schedule = list_of({base()});
  schedule.add_all_reduce_sum("world", "gradients", DType::F64, 12);
  schedule.add({Operation::transfer, "hand over", "world", DType::I64, {}, 4, 2, 0});
  schedule.add("sequence", DType::F32, all_gather("forth", {1, 2, 3}));
  schedule.add("sequence", DType::F32, reduce_scatter("back", {1, 2, 3}));
  schedule.add({Operation::barrier, "end", "world", DType::U8});
  CHECK(schedule.text() ==
        "   0 all_to_all \"vision.0.qkv\" sequence f32 [[0, 5], [3, 0]]\n"
        "   1 all_reduce_sum \"gradients\" world f64 [12]\n"
        "   2 transfer \"hand over\" world i64 [4] rank 2 to rank 0\n"
        "   3 all_gather \"forth\" sequence f32 [1, 2, 3]\n"
        "   4 reduce_scatter \"back\" sequence f32 [1, 2, 3]\n"
        "   5 barrier \"end\" world u8 []\n");
}

TEST_CASE("every field of an entry, and their order, is in what two ranks compare") {
  const auto fit = [](const Schedule& a, const Schedule& b) {
    return pair_hashes(a, Side::says, 0, 2)[1] == pair_hashes(b, Side::expects, 1, 2)[0] &&
           pair_hashes(a, Side::expects, 0, 2)[1] == pair_hashes(b, Side::says, 1, 2)[0];
  };
  const std::vector<std::function<void(ScheduleEntry&)>> changes{
      [](ScheduleEntry& e) { e.operation = Operation::all_gather; },
      [](ScheduleEntry& e) { e.label = "vision.0.qk"; },
      [](ScheduleEntry& e) { e.group = "world"; },
      [](ScheduleEntry& e) { e.dtype = DType::F64; },
      [](ScheduleEntry& e) { e.counts = two_ranks(4, 3); },
      [](ScheduleEntry& e) { e.counts = two_ranks(5, 4); },
      [](ScheduleEntry& e) { e.counts = e.counts.transposed(); },
      [](ScheduleEntry& e) { e.counts = {}; },
      [](ScheduleEntry& e) {
        e.counts = Counts::pairs(3, {{0, 1, 5}, {1, 0, 3}});
      },
      [](ScheduleEntry& e) { e.count = 1; },
      [](ScheduleEntry& e) { e.peer = 0; },
      [](ScheduleEntry& e) { e.to = 0; }};
  for (const auto& change : changes) {
    ScheduleEntry entry = base();
    change(entry);
    CHECK(!fit(list_of({entry}), list_of({base()})));
    CHECK(!fit(list_of({entry, base()}), list_of({base(), entry})));
    CHECK(fit(list_of({entry, base()}), list_of({entry, base()})));
  }
  CHECK(fit(list_of({base()}), list_of({base()})));
  CHECK(!fit(list_of({base()}), list_of({base(), base()})));
  CHECK(!fit(Schedule{}, list_of({base()})));
  // A letter that moves from one text to the next.
  ScheduleEntry moved = base();
  moved.label = "vision.0.qkvs";
  moved.group = "equence";
  CHECK(!fit(list_of({moved}), list_of({base()})));
  // The same counts, said in another way.
  ScheduleEntry product = base(), pairs = base();
  product.counts = Counts::product({2, 3}, {5, 7});
  pairs.counts = Counts::pairs(2, {{0, 0, 10}, {0, 1, 14}, {1, 0, 15}, {1, 1, 21}});
  CHECK(fit(list_of({product}), list_of({pairs})));
}

TEST_CASE("a rank's call is compared with its row and its column of the counts") {
  const ScheduleEntry entry = base();  // rank 0 sends 5 to rank 1, rank 1 sends 3 to rank 0
  CHECK(!difference(entry, exchange({0, 5}, {0, 3}), 0, 2));
  CHECK(!difference(entry, exchange({3, 0}, {5, 0}), 1, 2));
  CHECK(!difference(entry, exchange({0, 5}, {0, 3}, ""), 0, 2));
  CHECK(difference(entry, exchange({0, 3}, {0, 5}), 0, 2) == "counts [0, 3], not [0, 5]");
  CHECK(difference(entry, exchange({0, 5}, {0, 4}), 0, 2) == "received counts [0, 4], not [0, 3]");
  CHECK(difference(entry, exchange({0, 5}, {0, 3}, "other"), 0, 2) ==
        "label \"other\", not \"vision.0.qkv\"");
  Call wrong_type = exchange({}, {});
  wrong_type.dtype = DType::F64;
  CHECK(difference(entry, wrong_type, 0, 2) == "dtype f64, not f32");
  CHECK(difference(entry, {Operation::barrier, ""}, 0, 2) == "operation barrier, not all_to_all");
  CHECK(difference(entry, exchange({0, 5, 0}, {0, 3, 0}), 0, 3) == "a group of 3 ranks, not 2");
}

TEST_CASE("shifts, transfers and broadcasts are compared with what they are on this rank") {
  const std::vector<i64> one{1}, two{2}, three{3};
  const ScheduleEntry shift{.operation = Operation::shift,
                            .label = "ring",
                            .group = "sequence",
                            .dtype = DType::F32,
                            .counts = Counts::pairs(3, {{0, 1, 1}, {1, 2, 2}, {2, 0, 3}}),
                            .peer = 1};
  CHECK(!difference(shift, {Operation::shift, "ring", DType::F32, one, three, 1}, 0, 3));
  CHECK(!difference(shift, {Operation::shift, "ring", DType::F32, two, one, 1}, 1, 3));
  CHECK(difference(shift, {Operation::shift, "ring", DType::F32, two, three, 1}, 1, 3).has_value());
  CHECK(difference(shift, {Operation::shift, "ring", DType::F32, two, one, -1}, 1, 3) == "peer -1, not 1");
  const ScheduleEntry transfer{Operation::transfer, "", "world", DType::F32, {}, 2, 0, 2};
  CHECK(!difference(transfer, {Operation::transfer, "", DType::F32, two, {}, 2}, 0, 3));  // rank 0 sends to 2
  CHECK(!difference(transfer, {Operation::transfer, "", DType::F32, {}, two, 0}, 2,
                    3));  // rank 2 receives from 0
  CHECK(difference(transfer, {Operation::transfer, "", DType::F32, {}, two, 1}, 2, 3) == "peer 1, not 0");
  CHECK(difference(transfer, {Operation::transfer, "", DType::F32, {}, one, 0}, 2, 3).has_value());
  const ScheduleEntry broadcast{Operation::broadcast, "", "world", DType::F32, {}, 2, 1};
  CHECK(!difference(broadcast, {Operation::broadcast, "", DType::F32, two, {}, 1}, 0, 3));
  CHECK(difference(broadcast, {Operation::broadcast, "", DType::F32, two, {}, 0}, 0, 3) == "peer 0, not 1");
}

TEST_CASE("a call behind the end of the list is refused") {
  SelfGroup world;
  ScheduleCursor cursor(list_of({{Operation::barrier, "only", "world", DType::U8}}));
  ScheduledGroup group(world, cursor);
  CHECK_THROWS_WITH(cursor.finish(), doctest::Contains("1 of 1 scheduled collectives were not issued"));
  CHECK_THROWS_WITH(cursor.follow({}), doctest::Contains("1 of 1 scheduled collectives were not issued"));
  group.barrier({});
  cursor.finish();
  CHECK_THROWS_WITH(group.barrier({}, "again"), doctest::Contains("the schedule of 1 entries has ended"));
  CHECK_THROWS_WITH(ScheduledGroup(world, cursor),
                    doctest::Contains("two scheduled groups of the label world"));
}

TEST_CASE("the group of one rank copies, and sums nothing to what it is given") {
  SelfGroup world;
  std::vector<float> send{1, 2, 3}, recv(3);
  const std::vector<i64> counts{3};
  const Tensor from(send.data(), DType::F32, {3}), to(recv.data(), DType::F32, {3});
  world.all_to_all_v(from, counts, to, counts, {});
  CHECK(recv == send);
  recv = {0, 0, 0};
  world.reduce_scatter_v(from, to, counts, {});
  CHECK(recv == send);
  recv = {0, 0, 0};
  world.all_gather_v(from, to, counts, {});
  CHECK(recv == send);
  world.all_reduce_sum(to, {});
  world.broadcast(to, 0, {});
  CHECK(recv == send);
  CHECK(world.all_reduce_sum(i64{5}, {}) == 5);
  CHECK(world.all_gather(std::string("text"), {}) == std::vector<std::string>{"text"});
  CHECK(world.counters().bytes_sent == 0);
  CHECK(world.split(3, 0, "part")->label() == "part");
}
