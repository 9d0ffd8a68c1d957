// The emulator itself: that it notices what a GPU would not.
#include "runtime/device/lanes/emulated/emulator.h"

#include "runtime/device/lanes/launch.h"
#include "runtime/device/lanes/reduce.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::lanes;

namespace {

struct SumOfBlock {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const double sum = block_reduce(lane, static_cast<double>(lane.thread() + 1), Plus{});
    results[lane.block() * lane.threads() + lane.thread()] = sum;
  }
  double* results;
};

// Each thread reads what its neighbour has written, with or without a barrier between.
struct ReadNeighbour {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    float* const values = lane.template shared<float>();
    values[lane.thread()] = static_cast<float>(lane.thread());
    if (barrier) lane.sync();
    results[lane.thread()] = values[(lane.thread() + step + lane.threads()) % lane.threads()];
  }
  float* results;
  int step;
  bool barrier;
};

struct HalfWait {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    if (lane.thread() < 40) lane.sync();
  }
};

constexpr Stream kDevice{Backend::cuda};

}  // namespace

TEST_CASE("threads of all warps have the sum over their block, in every order") {
  for (const auto order : {emulated::Order::forward, emulated::Order::backward, emulated::Order::shuffled}) {
    emulated::set_order(order);
    std::vector<double> results(3 * 96);
    launch("sum", kDevice, {3, 96, static_cast<i64>(kReduceBytes)}, SumOfBlock{results.data()});
    for (const double sum : results) CHECK(sum == 96 * 97 / 2);
  }
}

TEST_CASE("what is read without a barrier is not there yet in some order") {
  const auto wrong = [](bool barrier) {
    int count = 0;
    for (const auto order :
         {emulated::Order::forward, emulated::Order::backward, emulated::Order::shuffled}) {
      emulated::set_order(order);
      for (const int step : {1, -1}) {
        std::vector<float> results(64);
        launch("neighbour", kDevice, {1, 64, 64 * 4}, ReadNeighbour{results.data(), step, barrier});
        for (int t = 0; t < 64; ++t)
          count += results[static_cast<std::size_t>(t)] != static_cast<float>((t + step + 64) % 64);
      }
    }
    return count;
  };
  CHECK(wrong(true) == 0);
  CHECK(wrong(false) >= 64);
}

TEST_CASE("a barrier that some threads never reach is an error, and the next launch starts afresh") {
  CHECK(failure_of([] {
          launch("half", kDevice, {1, 64}, HalfWait{});
        }).message.find("divergent barrier") != std::string::npos);
  std::vector<double> results(64);
  launch("sum", kDevice, {1, 64, static_cast<i64>(kReduceBytes)}, SumOfBlock{results.data()});
  CHECK(results[0] == 64 * 65 / 2);
}

TEST_CASE("blocks of threads that are no warps are refused") {
  CHECK_THROWS_AS(launch("odd", kDevice, {1, 33}, HalfWait{}), Error);
}
