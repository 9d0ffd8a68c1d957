// The host as a device: its memory is the device's, and work is done before the call returns. For tests, and
// for what is written for devices and runs without one.
#pragma once

#include "runtime/device/device.h"

namespace longsight {

class HostDevice final : public Device {
 public:
  HostDevice() : Device(Backend::host, "the host") {}
  ~HostDevice() override { free_staging(); }

  i64 total_bytes() const override { return 0; }
  i64 free_bytes() const override { return 0; }
  void queue_host_work(Stream, const char*, std::function<void()> work) override { work(); }

 private:
  void* do_allocate(i64 bytes) override;
  void do_release(void* memory, i64 bytes) noexcept override;
  void* do_allocate_pinned(i64 bytes) override { return do_allocate(bytes); }
  void do_release_pinned(void* memory, i64 bytes) noexcept override { do_release(memory, bytes); }
  void do_fill_zero(void* memory, i64 bytes, Stream) override;
  void do_copy(void* to, const void* from, i64 bytes, Way, Stream) override;
  void do_synchronize(Stream) override {}
  void* make_event() override { return nullptr; }
  void free_event(void*) noexcept override {}
  void record(void*, Stream) override {}
  void wait(Stream, void*) override {}
  void wait_on_host(void*) override {}
};

}  // namespace longsight
