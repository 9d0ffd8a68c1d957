// A device that the host plays, for tests: streams are queues of the host's own executors, and run when
// somebody waits, in any order that streams and events allow. Its memory is the host's, and nobody may touch
// it but the work of a stream: pages that fault, as those of a trace.
//
// With `records` it also finds out which pages each piece of work reads and writes, by letting it fault; then
// its log says whether events order all that must be ordered (runtime/device/device_log.h).
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <random>
#include <vector>

#include "runtime/base/number.h"
#include "runtime/device/device.h"
#include "runtime/device/device_log.h"

namespace longsight {

class SimulatedDevice final : public Device {
 public:
  struct Options {
    std::optional<u64> seed = {};  // of the order; none: that in which work was queued
    bool records = false;
    i64 bytes = i64{4} << 30;  // of memory: more than that is not there
    // The wait of this number (of all waits, from 0) is forgotten, for tests of tests.
    std::ptrdiff_t forgotten_wait = -1;
  };
  SimulatedDevice() : SimulatedDevice(Options{}) {}
  explicit SimulatedDevice(const Options&);
  ~SimulatedDevice() override;

  i64 alignment() const override;  // a page, so that no two tensors share one
  i64 total_bytes() const override { return options_.bytes; }
  i64 free_bytes() const override;
  void queue_host_work(Stream, const char* name, std::function<void()> work) override;

  // What was queued since the last clear_log(); pages where `records`.
  const DeviceLog& log() const { return log_; }
  void clear_log();
  bool idle() const;

  // Pages that a piece of work faulted on.
  class Recorder;

 private:
  struct Item {
    std::function<void()> work;                  // none: a wait, or an event
    std::shared_ptr<bool> waits_for, sets = {};  // whether an event has come
    std::size_t entry = 0;                       // of the log
  };
  struct Memory {
    std::byte* begin = nullptr;
    i64 bytes = 0;
  };
  struct EventState {
    std::shared_ptr<bool> come;  // null: never recorded
    i64 number = -1;
  };

  void* do_allocate(i64 bytes) override;
  void do_release(void* memory, i64 bytes) noexcept override;
  void* do_allocate_pinned(i64 bytes) override;
  void do_release_pinned(void* memory, i64 bytes) noexcept override;
  void do_fill_zero(void* memory, i64 bytes, Stream) override;
  void do_copy(void* to, const void* from, i64 bytes, Way, Stream) override;
  void do_synchronize(Stream) override;
  void* make_event() override;
  void free_event(void* event) noexcept override;
  void record(void* event, Stream) override;
  void wait(Stream, void* event) override;
  void wait_on_host(void* event) override;

  std::size_t index_of(Stream) const;
  void push(std::size_t stream, DeviceLog::Kind, const char* name, Item);
  void note(DeviceLog::Kind, std::size_t stream, i64 event, const char* name);
  void run_until(const std::function<bool()>& reached);
  std::optional<std::size_t> next_stream();
  void execute(Item&);
  void protect(int protection);
  void forget(const Memory&) noexcept;

  Options options_;
  std::mt19937_64 random_;
  mutable std::recursive_mutex queues_mutex_;
  std::mutex running_;
  std::array<std::deque<Item>, 3> queues_;
  std::array<std::size_t, 3> urgency_{0, 1, 2};
  std::byte* begin_ = nullptr;  // of all addresses
  i64 addresses_ = 0, used_addresses_ = 0, used_ = 0;
  std::vector<Memory> memory_, retired_;
  DeviceLog log_;
  i64 log_begin_ = 0;  // entries that were cleared
  i64 events_ = 0;
  std::ptrdiff_t waits_ = 0;
  std::unique_ptr<Recorder> recorder_;
};

}  // namespace longsight
