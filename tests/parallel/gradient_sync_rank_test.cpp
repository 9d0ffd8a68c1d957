#include <cstring>

#include <doctest/doctest.h>

#include "parallel/gradient_sync.h"
#include "parallel/replica_check.h"
#include "tests/support/listed.h"
#include "tests/support/rank_test.h"

using namespace longsight;
using namespace longsight::parallel;

namespace {

// Not exact in float: another order of summation would show.
float gradient(i64 rank, i64 i) {
  return static_cast<float>(1.0 / (1.0 + static_cast<double>(i % 97) + 13.0 * static_cast<double>(rank)));
}

std::vector<float> gradients_of(i64 rank, i64 count) {
  std::vector<float> values;
  for (i64 i = 0; i < count; ++i) values.push_back(gradient(rank, i));
  return values;
}

ParameterRegistry replica() {
  ParameterRegistry parameters;
  parameters.add({.name = "vision.weight", .shape = {3, 5}, .part = "vision", .init = init_normal(1)});
  parameters.add({.name = "language.weight", .shape = {4, 4}, .part = "language", .init = init_normal(1)});
  parameters.add({.name = "language.bias", .shape = {4}, .part = "language", .init = init_zeros()});
  parameters.allocate(DType::F32, false);
  parameters.initialise(7);
  return parameters;
}

}  // namespace

TEST_CASE("the given intervals become their sum in rank order, everything between them stays as it was") {
  ProcessGroup& world = test_world();
  const i64 count = 20'000;
  const std::vector<Interval> intervals{{0, 10},    {10, 5},      {20, 0},        {100, 9'000},
                                        {9'500, 3}, {9'600, 400}, {15'000, 5'000}};
  std::vector<bool> inside(static_cast<std::size_t>(count));
  for (const Interval& interval : intervals) {
    for (i64 i = 0; i < interval.count; ++i) inside[static_cast<std::size_t>(interval.offset + i)] = true;
  }
  std::vector<float> expected = gradients_of(world.rank(), count);
  for (i64 i = 0; i < count; ++i) {
    if (!inside[static_cast<std::size_t>(i)]) continue;
    float total = gradient(0, i);
    for (i64 r = 1; r < world.size(); ++r) total += gradient(r, i);
    expected[static_cast<std::size_t>(i)] = total;
  }
  // All packed; in place and packed mixed, with several packed buckets; all in place: the same bits.
  for (const auto& [in_place, packed] : {std::pair<i64, i64>{1 << 20, 1 << 20}, {1'000, 404}, {1, 1}}) {
    CAPTURE(in_place);
    const auto buckets = gradient_buckets(intervals, in_place, packed);
    std::vector<float> values = gradients_of(world.rank(), count);
    const Schedule schedule = listed([&](ProcessGroup& group, Stream stream) {
      Arena scratch("traced", Backend::trace);
      sum_gradients(Tensor(values.data(), DType::F32, {count}), buckets, group, scratch, stream);
    });
    agree(schedule, world, {});
    ScheduleCursor cursor(schedule);
    ScheduledGroup group(world, cursor);
    Arena scratch("scratch");
    sum_gradients(Tensor(values.data(), DType::F32, {count}), buckets, group, scratch, {});
    cursor.finish();
    CHECK(std::memcmp(values.data(), expected.data(), values.size() * sizeof(float)) == 0);
    CHECK(scratch.used() == 0);
  }
}

TEST_CASE("equal replicas pass the check") {
  const ParameterRegistry parameters = replica();
  CHECK_NOTHROW(check_replicas(parameters, test_world(), {}));
}

TEST_CASE(
    "one flipped bit is found on every rank, with the names of the parameter and of the rank that differs") {
  ProcessGroup& world = test_world();
  if (world.size() < 2) return;
  // Of two ranks none is in the majority: the one that differs from rank 0 is named.
  for (int bad = world.size() == 2 ? 1 : 0; bad < world.size(); ++bad) {
    const ParameterRegistry parameters = replica();
    if (world.rank() == bad) {
      auto* const bytes = static_cast<unsigned char*>(parameters.value(1).data());
      bytes[17] ^= 4;
    }
    CHECK_THROWS_WITH_AS(
        check_replicas(parameters, world, {}),
        doctest::Contains(
            fmt::format(
                "parameter language.weight is not the same on all ranks of group world: rank {} of {} "
                "differs",
                bad, world.size())
                .c_str()),
        Error);
  }
}

TEST_CASE("a flipped bit is found in 64 of 64 places, whatever the rank, the parameter and the bit") {
  ProcessGroup& world = test_world();
  if (world.size() < 2) return;
  const ParameterRegistry parameters = replica();
  const Tensor values = parameters.values();
  auto* const bytes = static_cast<unsigned char*>(values.data());
  const Philox random(3, "flips");
  int found = 0;
  for (u64 place = 0; place < 64; ++place) {
    CAPTURE(place);
    const int bad = static_cast<int>(random.below(static_cast<u64>(world.size()), 2 * place));
    // The first and the last bit too.
    const u64 bits = static_cast<u64>(values.bytes()) * 8;
    const u64 bit = place == 0 ? 0 : place == 1 ? bits - 1 : random.below(bits, 2 * place + 1);
    const auto flip = [&] {
      if (world.rank() == bad) bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    };
    flip();
    try {
      check_replicas(parameters, world, {});
    } catch (const Error& error) {
      // Of two ranks the second one is said to differ.
      const std::string rank =
          fmt::format(": rank {} of {} differs", world.size() == 2 ? 1 : bad, world.size());
      found += std::string(error.what()).find(rank) != std::string::npos;
    }
    flip();
    CHECK_NOTHROW(check_replicas(parameters, world, {}));
  }
  CHECK(found == 64);
}
