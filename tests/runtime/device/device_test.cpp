// Devices that every machine has: the host, and a simulated one, whose streams run in any order that events
// allow.
#include <csignal>
#include <cstring>
#include <set>
#include <vector>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/device/cuda_device.h"
#include "runtime/device/host_device.h"
#include "runtime/device/simulated_device.h"

namespace longsight {
namespace {

// Numbers on a device.
struct Numbers {
  Numbers(Device& on, i64 count) : device(on), bytes(count * 8), data(on.allocate(bytes, "numbers")) {}
  ~Numbers() { device.release(data, bytes, "numbers"); }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;
  i64* get() const { return static_cast<i64*>(data); }
  std::vector<i64> read(Stream stream) const {
    std::vector<i64> values(static_cast<std::size_t>(bytes / 8));
    device.read(values.data(), data, bytes, stream);
    return values;
  }

  Device& device;
  i64 bytes;
  void* data;
};

void count_on(Device& device, const Numbers& x, Stream stream) {
  device.queue_host_work(stream, "count on", [to = x.get(), n = x.bytes / 8] {
    for (i64 i = 0; i < n; ++i) to[i] += 1;
  });
}

TEST_CASE("memory of a device is zero, is written and read, and is counted under its label") {
  HostDevice host;
  SimulatedDevice simulated;
  for (Device* device : {static_cast<Device*>(&host), static_cast<Device*>(&simulated)}) {
    CAPTURE(device->name());
    {
      const Numbers a(*device, 3), b(*device, 3);
      CHECK(a.read(device->compute()) == std::vector<i64>{0, 0, 0});
      std::vector<i64> values{4, 5, 6};
      device->write(a.data, values.data(), 24, device->compute());
      values = {};  // it was copied
      device->copy_within(b.data, a.data, 16, device->compute());
      count_on(*device, b, device->compute());
      CHECK(b.read(device->compute()) == std::vector<i64>{5, 6, 1});
      device->fill_zero(b.data, 8, device->compute());
      CHECK(b.read(device->compute()) == std::vector<i64>{0, 6, 1});
      CHECK(device->allocated_bytes() == 48);
      CHECK(device->table() == "         0.0 MiB  numbers\n");
    }
    CHECK(device->allocated_bytes() == 0);
  }
}

TEST_CASE("what is longer than a piece of pinned memory is written and read piece by piece") {
  SimulatedDevice device({.seed = 3});
  constexpr i64 kCount = (i64{3} << 17) + 7;
  const Numbers x(device, kCount);
  std::vector<i64> values(kCount);
  for (i64 i = 0; i < kCount; ++i) values[static_cast<std::size_t>(i)] = 3 * i;
  device.write(x.data, values.data(), x.bytes, device.copies());
  CHECK(x.read(device.copies()) == values);
}

TEST_CASE("memory that a device does not have is an error with what holds the rest") {
  SimulatedDevice device({.bytes = i64{1} << 20});
  const Numbers held(device, 64 << 10);
  try {
    device.allocate(i64{1} << 20, "scratch");
    FAIL("there was memory");
  } catch (const OutOfDeviceMemory& error) {
    CHECK(error.code() == ExitCode::internal);
    CHECK(std::string(error.what()) ==
          "out of memory on a simulated device: 1.0 MiB for scratch; in use are\n"
          "         0.5 MiB  numbers\n");
  }
}

TEST_CASE("work of two streams runs in every order, and events allow only theirs") {
  std::set<std::string> free, ordered;
  for (u64 seed = 0; seed < 200; ++seed) {
    SimulatedDevice device({.seed = seed});
    std::string ran;
    const auto queue = [&](Stream stream, const char* name) {
      device.queue_host_work(stream, name, [&ran, name] { ran += name; });
    };
    queue(device.compute(), "a");
    queue(device.compute(), "b");
    queue(device.copies(), "c");
    device.synchronize(device.compute());
    free.insert(ran);

    ran.clear();
    Event event(device);
    event.wait(device.copies());  // never recorded
    queue(device.compute(), "a");
    event.record(device.compute());
    queue(device.compute(), "b");
    event.wait(device.copies());
    event.record(device.communication());  // what waits already waits for the earlier place
    queue(device.copies(), "c");
    device.synchronize(device.copies());
    device.synchronize(device.compute());
    ordered.insert(ran);
  }
  CHECK(free == std::set<std::string>{"abc", "acb", "cab"});
  CHECK(ordered == std::set<std::string>{"abc", "acb"});
}

TEST_CASE("an event that nobody records is a deadlock, and it is said") {
  SimulatedDevice device;
  Event event(device);
  event.record(device.copies());
  event.wait(device.compute());
  CHECK_NOTHROW(device.synchronize(device.compute()));
  device.queue_host_work(device.compute(), "fails", [] { fail(ExitCode::internal, "as it must"); });
  CHECK_THROWS_AS(device.synchronize(device.compute()), Error);
  CHECK(device.idle());
}

// Whether `touch` ends a process by a fault.
bool faults(const std::function<void()>& touch) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    touch();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0;
}

TEST_CASE("the host cannot touch a simulated device's memory, before or after its work has run") {
  SimulatedDevice device;
  const Numbers x(device, 4);
  CHECK(faults([&] { *static_cast<volatile i64*>(x.data) = 1; }));
  count_on(device, x, device.compute());
  device.synchronize(device.compute());
  CHECK(faults([&] { *static_cast<volatile i64*>(x.data) = 1; }));
  CHECK(x.read(device.compute()) == std::vector<i64>{1, 1, 1, 1});
}

// A buffer is filled by one stream and counted on by another, and the host reads it.
struct HandOver {
  explicit HandOver(std::ptrdiff_t forgotten = -1) : device({.records = true, .forgotten_wait = forgotten}) {
    const Numbers x(device, 4), other(device, 4);
    Event filled(device), counted(device);
    const i64 seven = 7;
    device.write(x.data, &seven, 8, device.copies());
    count_on(device, other, device.compute());  // of nobody's concern
    filled.record(device.copies());
    filled.wait(device.compute());
    count_on(device, x, device.compute());
    counted.record(device.compute());
    counted.wait(device.copies());
    device.fill_zero(x.data, 8, device.copies());
    device.synchronize(device.copies());
    device.fill_zero(other.data, 8, device.copies());  // the host has seen that stream alone
    device.synchronize(device.copies());
  }
  SimulatedDevice device;
};

TEST_CASE("a wait that is missing is a race, whatever order the work ran in") {
  HandOver whole;
  const DeviceLog& log = whole.device.log();
  CHECK(log.waits().size() == 2);
  CHECK(log.race() == "");  // the later fill is behind what the copies had waited for
  CHECK(log.race(0).find("count on") != std::string::npos);
  CHECK(log.race(1).find("fill_zero") != std::string::npos);
  // As if it had not been there.
  for (std::ptrdiff_t wait = 0; wait < 2; ++wait) {
    const HandOver without(wait);
    CHECK(without.device.log().race().substr(0, 8) == log.race(wait).substr(0, 8));
  }
}

TEST_CASE("reading what another stream reads is no race") {
  SimulatedDevice device({.records = true});
  const Numbers x(device, 4), a(device, 4), b(device, 4);
  device.copy_within(a.data, x.data, 32, device.compute());
  device.copy_within(b.data, x.data, 32, device.copies());
  device.synchronize(device.compute());
  device.synchronize(device.copies());
  CHECK(device.log().race() == "");
  device.clear_log();
  device.copy_within(a.data, x.data, 32, device.compute());
  device.copy_within(x.data, b.data, 32, device.copies());
  device.synchronize(device.copies());
  device.synchronize(device.compute());
  CHECK(device.log().race() != "");
}

TEST_CASE("without CUDA a GPU is refused with what to do") {
  const CudaFacts facts = cuda_facts();
  if (facts.devices > 0) return;
  CHECK(!facts.missing.empty());
  try {
    make_cuda_device(0);
    FAIL("there is a GPU");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    CHECK(std::string(error.what()) == "no GPU can be used: " + facts.missing);
  }
}

}  // namespace
}  // namespace longsight
