#include "launch/watchdog/hang_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include <doctest/doctest.h>

#include "runtime/base/clock.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;
using parallel::Operation;
using parallel::Phase;

namespace {

struct At {
  i64 world = 0, number = 0;
  Operation operation = Operation::all_to_all;
  std::string_view label = "vision.0.qkv", group = "sequence";
  bool under_way = true;
  Phase phase = Phase::compute;
  i64 step = 17;
};

LastSeen rank_at(const At& at, bool heard = true, bool ended = false) {
  LastSeen seen{.beat = {.tick = 5, .ended = ended, .quiet = 5.04, .host = "node1", .process = 4321},
                .heard = heard};
  parallel::Standing& s = seen.beat.standing;
  s.phase = at.phase;
  s.step = at.step;
  s.world = at.world;
  s.call.number = at.number;
  s.call.in_group = at.number / 2;
  s.call.operation = at.operation;
  s.call.bytes = 96;
  s.call.done = at.under_way ? 0 : 1;
  std::copy(at.label.begin(), at.label.end(), s.call.label.begin());
  std::copy(at.group.begin(), at.group.end(), s.call.group.begin());
  return seen;
}

const At kQkv{.world = 900, .number = 4711};
const At kLoss{
    .world = 901, .number = 4712, .operation = Operation::all_reduce_sum, .label = "loss", .group = "world"};
const At kBehindQkv{.world = 900, .number = 4711, .under_way = false};

}  // namespace

TEST_CASE("the rank that has issued fewest collectives is behind") {
  CHECK(who_is_behind({rank_at(kLoss), rank_at(kLoss), rank_at(kQkv), rank_at(kLoss)}) ==
        "rank 2 is in 4711 all_to_all \"vision.0.qkv\" of group sequence; "
        "the others are in 4712 all_reduce_sum \"loss\" of group world");
  CHECK(who_is_behind({rank_at(kBehindQkv), rank_at(kLoss)}) ==
        "rank 0 is in its forward and backward, behind 4711 all_to_all \"vision.0.qkv\" of group sequence; "
        "rank 1 is in 4712 all_reduce_sum \"loss\" of group world");
}

TEST_CASE("a rank that has a collective done is ahead of one that is in it") {
  CHECK(who_is_behind({rank_at(kBehindQkv), rank_at(kQkv)}).starts_with("rank 1 is in 4711"));
}

TEST_CASE("calls of all ranks count before those of smaller groups, whose numbers need not go together") {
  At far = kQkv;
  far.number = 9000;  // its sequence group had more to exchange
  CHECK(who_is_behind({rank_at(kLoss), rank_at(far)}).starts_with("rank 1 is in 9000"));
}

TEST_CASE("a rank that has stopped is named wherever it stands, with its step") {
  CHECK(who_is_behind({rank_at(kLoss), rank_at(kLoss), rank_at(kBehindQkv, false)}) ==
        "rank 2 has not been heard of since step 17, when it was in its forward and backward, "
        "behind 4711 all_to_all \"vision.0.qkv\" of group sequence; "
        "the others are in 4712 all_reduce_sum \"loss\" of group world");
  // Also where it was furthest when it stopped, and where the others are not at one place.
  CHECK(who_is_behind({rank_at(kLoss, false), rank_at(kQkv), rank_at(kBehindQkv), rank_at(kQkv)}) ==
        "rank 0 has not been heard of since step 17, when it was in 4712 all_reduce_sum \"loss\" of group "
        "world; "
        "ranks 1, 3 are in 4711 all_to_all \"vision.0.qkv\" of group sequence; "
        "rank 2 is in its forward and backward, behind 4711 all_to_all \"vision.0.qkv\" of group sequence");
  CHECK(who_is_behind({rank_at(kQkv, false), rank_at(kQkv, false), rank_at(kQkv)})
            .starts_with("ranks 0, 1 have not been heard of since step 17, when they were in 4711"));
}

TEST_CASE("ranks that wait for each other in one place, or for nobody, are said to") {
  CHECK(who_is_behind({rank_at(kLoss), rank_at(kLoss)}) ==
        "ranks 0, 1 are in 4712 all_reduce_sum \"loss\" of group world: none is behind the others");
  At nothing;
  nothing.under_way = false;
  nothing.phase = Phase::data;
  CHECK(who_is_behind({rank_at(nothing)}) ==
        "rank 0 is in its wait for data, before any collective: none is behind the others");
}

TEST_CASE("ranks that have left the run are not waited for") {
  CHECK(who_is_behind({rank_at(kQkv, false, true), rank_at(kLoss), rank_at(kQkv, true, true)}) ==
        "rank 1 is in 4712 all_reduce_sum \"loss\" of group world: none is behind the others");
  CHECK(who_is_behind({rank_at(kQkv, false, true)}) == "every rank has left the run");
}

TEST_CASE("the report has a line for each rank") {
  const std::string text = hang_report({rank_at(kLoss), rank_at(kBehindQkv, false)});
  CHECK(text.starts_with("rank 1 has not been heard of since step 17"));
  CHECK(text.find("rank 0, process 4321 on node1: runs, got on 5.0 s ago, step 17 was its last, 901 in the "
                  "group of all ranks, in 4712") != std::string::npos);
  CHECK(text.find("rank 1, process 4321 on node1: has stopped") != std::string::npos);
}

TEST_CASE("a record is lines of JSON: the rank, its threads, a call each") {
  parallel::FlightRecord record;
  const std::vector<i64> counts{3, 5};
  for (int i = 0; i < 3; ++i) {
    record.begin({Operation::all_to_all, "qkv", DType::F32, counts}, "sequence", i + 1, steady_seconds());
    if (i < 2) record.end(steady_seconds());
  }
  std::vector<nlohmann::json> lines;
  std::string text = record_text({.tick = 3, .host = "node1"}, record.calls());
  for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1))
    lines.push_back(nlohmann::json::parse(text.substr(0, end)));
  REQUIRE(lines.size() == 5);
  CHECK(lines[0]["host"] == "node1");
  REQUIRE_FALSE(lines[1]["threads"].empty());
  CHECK(lines[1]["threads"][0]["state"] == "R");  // this one
  lines.erase(lines.begin());
  for (int i = 1; i <= 3; ++i) {
    CHECK(lines[static_cast<std::size_t>(i)]["number"] == i);
    CHECK(lines[static_cast<std::size_t>(i)]["bytes"] == 32);
    CHECK(lines[static_cast<std::size_t>(i)]["state"] == (i < 3 ? "done" : "begun"));
  }
  CHECK(lines[3]["done"].is_null());
  CHECK(lines[1]["begun"].get<std::string>().starts_with("20"));
}

TEST_CASE("what a rank writes into the file of heartbeats the others read") {
  const ScratchFolder folder;
  const std::string file = folder / Heartbeats::kFile;
  const auto made = Heartbeats::make(file, 3);
  Heartbeats& first = *made;
  Heartbeats last(file, 2, 3);
  Heartbeat beat = rank_at(kQkv).beat;
  last.write(beat);
  beat.tick = 6;
  beat.standing.step = 18;
  last.write(beat);
  const std::vector<Heartbeat> read = first.read();
  REQUIRE(read.size() == 3);
  CHECK(read[0].tick == 0);
  CHECK(read[1].tick == 0);
  CHECK(text_of(read[2]) == text_of(beat));
  CHECK(read[2].standing.call.under_way());
  // The file may be removed under it.
  std::filesystem::remove(file);
  CHECK(text_of(first.read()[2]) == text_of(beat));
}

TEST_CASE("a page that is no heartbeat is none") {
  const std::string good = text_of(rank_at(kQkv).beat);
  CHECK(heartbeat_of(good + std::string(100, ' ')));
  CHECK_FALSE(heartbeat_of(""));
  CHECK_FALSE(heartbeat_of(good.substr(0, good.size() / 2)));
  CHECK_FALSE(heartbeat_of("{\"tick\": 1}"));
  std::string phase = good;
  phase.replace(phase.find("\"phase\":2"), 9, "\"phase\":9");
  CHECK_FALSE(heartbeat_of(phase));
}
