#include <ctime>
#include <functional>

#include <doctest/doctest.h>

#include "parallel/groups/agreement.h"
#include "tests/support/rank_test.h"

using namespace longsight;
using namespace longsight::parallel;

namespace {

std::string refusal(const std::vector<Fact>& facts) {
  try {
    require_agreement(facts, ExitCode::usage, "make them alike", test_world(), {});
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    return error.what();
  }
  return "";
}

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void sleep_seconds(double seconds) {
  const timespec time{.tv_sec = 0, .tv_nsec = static_cast<long>(seconds * 1e9)};
  nanosleep(&time, nullptr);
}

}  // namespace

TEST_CASE("ranks with the same facts agree") {
  CHECK(refusal({{"a", "1"}, {"b", ""}}).empty());
  CHECK(refusal({}).empty());
}

TEST_CASE("the first fact that differs is named on every rank, with its values and their ranks") {
  ProcessGroup& world = test_world();
  if (world.size() < 3) return;
  const bool odd = world.rank() == 1;
  const std::string message = refusal({{"a", "1"}, {"b", odd ? "2" : "3"}, {"c", odd ? "4" : "5"}});
  CHECK(message.starts_with("the ranks do not agree: b is 3 on ranks 0, 2"));
  CHECK(message.ends_with(" but 2 on rank 1: make them alike"));
}

TEST_CASE("a fact that some rank does not have is named") {
  ProcessGroup& world = test_world();
  if (world.size() < 2) return;
  const bool last = world.rank() == world.size() - 1;
  const std::string less =
      refusal(last ? std::vector<Fact>{{"a", "1"}} : std::vector<Fact>{{"a", "1"}, {"b", "2"}});
  CHECK(less.find("b is 2 on rank") != std::string::npos);
  CHECK(less.find(fmt::format("but not there on rank {}", world.size() - 1)) != std::string::npos);
  const std::string more =
      refusal(last ? std::vector<Fact>{{"a", "1"}, {"b", "2"}} : std::vector<Fact>{{"a", "1"}});
  CHECK(more.find("b is not there on rank") != std::string::npos);
}

TEST_CASE("a rank that waits in a collective sleeps") {
  ProcessGroup& world = test_world();
  if (world.size() < 2) return;
  std::vector<i64> value(1), all(static_cast<std::size_t>(world.size()));
  const std::vector<i64> one(static_cast<std::size_t>(world.size()), 1);
  const std::vector<std::function<void()>> collectives{
      [&] { world.barrier({}); },
      [&] { world.broadcast(value.data(), 1, DType::I64, 0, {}); },
      [&] { world.all_gather(i64{1}, Stream{}); },
      [&] { world.all_gather_v(value.data(), all.data(), one, DType::I64, {}); },
      [&] { world.split(0, 0, "part"); },
  };
  for (std::size_t i = 0; i < collectives.size(); ++i) {
    CAPTURE(i);
    world.barrier({});
    const double before = processor_seconds();
    if (world.rank() == 0) sleep_seconds(0.4);
    collectives[i]();
    CHECK(processor_seconds() - before < 0.1);
    world.barrier({});
  }
}
