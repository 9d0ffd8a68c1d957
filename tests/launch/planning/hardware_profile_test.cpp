#include "launch/planning/hardware_profile.h"

#include <cmath>

#include <doctest/doctest.h>

#include "runtime/base/fields.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::planning;

namespace {

const char* const kWhole =
    "name: x\norigin: measured\nsource: here\nranks_per_node: 2\nmemory: 1000\n"
    "gemm: [{size: 1e6, rate: 1e9}, {size: 1e8, rate: 4e9}]\nattention: [{rate: 5e8}]\ncopy: [{rate: 1e8}]\n"
    "link: {bandwidth: 1e9, latency: 1e-6}\nnetwork: {bandwidth: 1e8, latency: 1e-5}\n";

// What is said where `from` is replaced.
Failure refusal(const std::string& from, const std::string& to) {
  const ScratchFolder scratch;
  std::string text = kWhole;
  REQUIRE(text.find(from) != std::string::npos);
  text.replace(text.find(from), from.size(), to);
  scratch.write("h.yaml", text);
  return failure_of([&] { read_hardware(scratch / "h.yaml"); });
}

}  // namespace

TEST_CASE("rates between two sizes follow a line over the logarithms, beyond them the nearest") {
  const std::vector<Rate> rates{{1e4, 1e9}, {1e8, 16e9}};
  CHECK(seconds_of(1e4, rates) == doctest::Approx(1e-5));
  CHECK(seconds_of(1e8, rates) == doctest::Approx(1e8 / 16e9));
  CHECK(seconds_of(1e6, rates) == doctest::Approx(1e6 / 4e9));  // half way
  CHECK(seconds_of(1e7, rates) == doctest::Approx(1e7 / 8e9));  // three quarters
  CHECK(seconds_of(1e3, rates) == doctest::Approx(1e-6));
  CHECK(seconds_of(1e9, rates) == doctest::Approx(1e9 / 16e9));
  CHECK(seconds_of(3, {{0, 2}}) == 1.5);
}

TEST_CASE("a profile is read back as it was written") {
  const ScratchFolder scratch;
  scratch.write("h.yaml", kWhole);
  const HardwareProfile h = read_hardware(scratch / "h.yaml");
  CHECK(h.origin == "measured");
  CHECK(h.ranks_per_node == 2);
  CHECK(h.memory == 1000);
  CHECK(h.gemm == std::vector<Rate>{{1e6, 1e9}, {1e8, 4e9}});
  CHECK(h.copy == std::vector<Rate>{{0, 1e8}});
  CHECK(h.network == Link{1e8, 1e-5});
  scratch.write("again.yaml", to_yaml(h));
  CHECK(same_fields(read_hardware(scratch / "again.yaml"), h));
  HardwareProfile alone = h;  // of one rank
  alone.link.reset();
  alone.network.reset();
  scratch.write("alone.yaml", to_yaml(alone));
  CHECK(same_fields(read_hardware(scratch / "alone.yaml"), alone));
}

TEST_CASE("missing and wrong values of a profile are errors that name the key and its place") {
  for (const char* key : {"name: x", "origin: measured", "source: here", "attention: [{rate: 5e8}]",
                          "copy: [{rate: 1e8}]", "gemm: [{size: 1e6, rate: 1e9}, {size: 1e8, rate: 4e9}]"}) {
    const Failure f = refusal(std::string(key) + "\n", "");
    CHECK_MESSAGE(f.code == ExitCode::usage, key);
    CHECK_MESSAGE(f.message.starts_with(std::string(key).substr(0, std::string(key).find(':'))), f.message);
    CHECK_MESSAGE(contains(f.message, "h.yaml"), f.message);
  }
  const auto says = [](const Failure& f, const std::string& part) {
    CHECK(f.code == ExitCode::usage);
    CHECK_MESSAGE(contains(f.message, part), f.message);
    CHECK_MESSAGE(contains(f.message, "h.yaml:"), f.message);
  };
  says(refusal("{rate: 5e8}", "{rate: 0}"), "attention.0: the rate 0 must be positive");
  says(refusal("{size: 1e8", "{size: 1e5"), "gemm.1: the sizes");
  says(refusal("origin: measured", "origin: guessed"), "origin");
  says(refusal("bandwidth: 1e9", "bandwidth: -1"), "link: the bandwidth -1 must be positive");
  says(refusal("latency: 1e-5", "latency: -2"), "network: the latency -2 is negative");
  says(refusal("ranks_per_node: 2\n", ""), "network: say how many ranks a node has");
  says(refusal("memory: 1000", "memory: many"), "memory");
  says(refusal("copy:", "copies:"), "unknown key");
  CHECK(failure_of([] { read_hardware("nowhere.yaml"); }).code == ExitCode::missing_input);
}

TEST_CASE("a profile without a link that a plan needs is refused") {
  HardwareProfile h;
  h.link.reset();
  require_complete(h, 1);
  CHECK(contains(failure_of([&] { require_complete(h, 2); }).message, "no link between ranks"));
  h.ranks_per_node = 4;
  h.link = Link{1, 1};
  require_complete(h, 4);
  CHECK(contains(failure_of([&] { require_complete(h, 8); }).message, "no network between nodes"));
  h.network = Link{1, 1};
  require_complete(h, 8);
}

TEST_CASE(
    "published profiles have the figures of their data sheets and say that they were not measured here") {
  struct Published {
    const char* file;
    double memory, flops, copy, link, network;
  };
  for (const Published& p : {Published{"a100-80gb", 80e9, 312e12, 2.039e12, 300e9, 25e9},
                             {"h100", 80e9, 1978.8e12 / 2, 3.35e12, 450e9, 50e9},
                             {"h200", 141e9, 1978.8e12 / 2, 4.8e12, 450e9, 50e9},
                             {"b200", 180e9, 2250e12, 8e12, 900e9, 50e9}}) {
    CAPTURE(p.file);
    const HardwareProfile h = read_hardware(fmt::format("configs/hardware/{}.yaml", p.file));
    CHECK(h.ranks_per_node == 8);
    CHECK(h.memory == static_cast<i64>(p.memory));
    CHECK(h.gemm == std::vector<Rate>{{0, p.flops}});
    CHECK(h.attention == h.gemm);
    CHECK(h.copy == std::vector<Rate>{{0, p.copy}});
    CHECK(h.link->bandwidth == p.link);
    CHECK(h.network->bandwidth == p.network);
    CHECK(contains(h.text(), "published, not measured here"));
  }
}
