#include "parallel/groups/flight_record.h"

#include <string>

#include <doctest/doctest.h>

#include "parallel/groups/self_group.h"

using namespace longsight;
using namespace longsight::parallel;

TEST_CASE("a record holds the last 1,024 calls of all groups, in order, each with its number there") {
  const auto record = std::make_shared<FlightRecord>();
  SelfGroup world(kWorldLabel, record);
  const auto sequence = world.split(0, 0, "sequence");
  std::vector<double> values(3, 1.0);
  for (i64 i = 1; i <= 1500; ++i) {
    sequence->all_reduce_sum(Tensor(values.data(), DType::F64, {3}), {}, "attention");
    if (i % 3 == 0) world.barrier({}, "end of it");
  }
  const std::vector<CallRecord> calls = record->calls();
  REQUIRE(calls.size() == 1024);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const CallRecord& call = calls[i];
    CAPTURE(i);
    REQUIRE(call.number == 2000 - 1024 + 1 + static_cast<i64>(i));
    const bool of_world = call.number % 4 == 0;  // three of the sequence, then one of the world
    REQUIRE(std::string(call.group.data()) == (of_world ? "world" : "sequence"));
    REQUIRE(call.in_group == (of_world ? call.number / 4 : call.number - call.number / 4));
    REQUIRE(std::string(call.label.data()) == (of_world ? "end of it" : "attention"));
    REQUIRE(call.operation == (of_world ? Operation::barrier : Operation::all_reduce_sum));
    REQUIRE(call.bytes == (of_world ? 0 : 24));
    REQUIRE(call.begun > 0);
    REQUIRE(call.done >= call.begun);
  }
  CHECK(record->standing().world == 500);
  CHECK(record->standing().call.number == 2000);
}

TEST_CASE("a call is under way from its begin to its end, and long names are cut") {
  FlightRecord record;
  CHECK(record.calls().empty());
  CHECK_FALSE(record.standing().call.under_way());
  const std::string long_name(200, 'x');
  const std::vector<i64> counts{5, 2};
  record.begin({Operation::all_to_all, long_name.c_str(), DType::F32, counts}, long_name, 1, 10);
  CHECK(record.standing().call.under_way());
  CHECK(record.standing().world == 0);
  CHECK(record.standing().since == 10);
  REQUIRE(record.calls().size() == 1);
  CHECK(record.calls()[0].bytes == 28);
  CHECK(std::string(record.calls()[0].label.data()) == std::string(63, 'x'));
  CHECK(std::string(record.calls()[0].group.data()) == std::string(15, 'x'));
  record.end(12);
  CHECK_FALSE(record.standing().call.under_way());
  CHECK(record.calls()[0].done == 12);
}

TEST_CASE("phases and steps are steps forward") {
  FlightRecord record;
  const double before = record.standing().since;
  record.enter(Phase::evaluation);
  record.step_done(7);
  CHECK(record.standing().phase == Phase::evaluation);
  CHECK(record.standing().step == 7);
  CHECK(record.standing().since > before);
}

TEST_CASE("groups that no session made keep no record") {
  SelfGroup alone;
  alone.enter(Phase::data);
  alone.barrier({}, "alone");
  CHECK(alone.record() == nullptr);
}
