// A device whose memory is the host's and whose kernels run in the emulator: for what ops take from arenas.
#pragma once

#include <cstdlib>
#include <cstring>

#include "runtime/device/device.h"
#include "runtime/tensor/arena.h"

namespace longsight::cuda_test {

class EmulatedDevice final : public Device {
 public:
  EmulatedDevice() : Device(Backend::cuda, "the emulator") {}
  ~EmulatedDevice() override { free_staging(); }
  i64 total_bytes() const override { return 0; }
  i64 free_bytes() const override { return 0; }
  void queue_host_work(Stream, const char*, std::function<void()> work) override { work(); }

 private:
  void* do_allocate(i64 bytes) override {
    void* const memory = std::aligned_alloc(64, static_cast<std::size_t>(ceil_div(bytes, 64) * 64));
    if (memory != nullptr) std::memset(memory, 0xff, static_cast<std::size_t>(bytes));  // NaN
    return memory;
  }
  void do_release(void* memory, i64) noexcept override { std::free(memory); }
  void* do_allocate_pinned(i64 bytes) override { return do_allocate(bytes); }
  void do_release_pinned(void* memory, i64) noexcept override { std::free(memory); }
  void do_fill_zero(void* memory, i64 bytes, Stream) override {
    std::memset(memory, 0, static_cast<std::size_t>(bytes));
  }
  void do_copy(void* to, const void* from, i64 bytes, Way, Stream) override {
    std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }
  void do_synchronize(Stream) override {}
  void* make_event() override { return nullptr; }
  void free_event(void*) noexcept override {}
  void record(void*, Stream) override {}
  void wait(Stream, void*) override {}
  void wait_on_host(void*) override {}
};

// What an op takes scratch from, on either side.
class Scratch {
 public:
  Arena& of(bool on_device) { return on_device ? device_arena_ : host_arena_; }

 private:
  EmulatedDevice device_;
  Arena host_arena_{"host"}, device_arena_{"device", device_};
};

}  // namespace longsight::cuda_test
