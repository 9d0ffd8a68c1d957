// What a rank computes on beside the host: memory of its own, queues of work, and copies between the two. The
// host only queues; it waits where it says so.
//
// Streams: each rank has one for computing, one for copies from the host and one for communication. Work of
// one stream runs in the order in which it was queued, that of two streams in any order that events allow.
//
// All functions may be called from any thread; what two threads queue on one stream has no order.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/number.h"
#include "runtime/device/stream.h"

namespace longsight {

// No memory of this size is left. The message has the table of what holds the memory.
class OutOfDeviceMemory : public Error {
 public:
  OutOfDeviceMemory(const std::string& message, i64 wanted, i64 held)
      : Error(ExitCode::internal, message), wanted_(wanted), held_(held) {}
  i64 wanted() const { return wanted_; }  // bytes
  i64 held() const { return held_; }      // by this process then

 private:
  i64 wanted_, held_;
};

class Device {
 public:
  virtual ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Backend backend() const { return backend_; }
  const std::string& name() const { return name_; }  // for people: "NVIDIA H200 (0 of 8)"
  virtual std::string id() const { return name_; }   // of the piece of hardware, the same in every process
  virtual i64 alignment() const { return 64; }       // of what an arena hands out

  Stream compute() const { return {backend_, streams_[0], self()}; }
  Stream copies() const { return {backend_, streams_[1], self()}; }
  Stream communication() const { return {backend_, streams_[2], self()}; }

  // ---- memory

  // Zero-filled, for all that is queued from now on. Waits for the device where its pool has to grow. Throws
  // OutOfDeviceMemory.
  void* allocate(i64 bytes, const std::string& label);
  // Behind all that has been queued so far.
  void release(void* memory, i64 bytes, const std::string& label) noexcept;
  // Of the host, which the device copies from and to while the host goes on.
  void* allocate_pinned(i64 bytes);
  void release_pinned(void* memory, i64 bytes) noexcept;

  i64 allocations() const { return allocations_; }  // of both kinds, since the device was made
  i64 allocated_bytes() const;                      // of the device
  std::string table() const;                        // what holds them, by label, largest first
  virtual i64 total_bytes() const = 0;              // of the device; 0: as much as the host has
  virtual i64 free_bytes() const = 0;               // for this process and others; 0: likewise

  // ---- work, queued

  void fill_zero(void* memory, i64 bytes, Stream);
  void copy_within(void* to, const void* from, i64 bytes, Stream);
  void copy_to_device(void* to, const void* pinned, i64 bytes, Stream);
  void copy_to_host(void* pinned, const void* from, i64 bytes, Stream);
  // Of any memory of the host, which is free again when it returns.
  void write(void* to, const void* from, i64 bytes, Stream);
  // Waits for the stream.
  void read(void* to, const void* from, i64 bytes, Stream);
  // `work` runs once in the order of the stream, on a thread of the host that waits for the device; where a
  // device cannot queue it, on this one, which then waits for the stream. `name`: a string that lives as long
  // as the program.
  virtual void queue_host_work(Stream, const char* name, std::function<void()> work) = 0;
  // Returns when all has been done that was queued on the stream. Throws what went wrong with it.
  void synchronize(Stream);
  i64 synchronizations() const { return synchronizations_; }

  // While the host waits for the device, `look` is called now and then; it throws where the wait is in vain.
  // Returns a number for unwatch().
  i64 watch(std::function<void()> look);
  void unwatch(i64 number) noexcept;
  // For libraries that work with the current device of a thread.
  virtual void make_current() const {}

 protected:
  Device(Backend backend, std::string name);
  // compute, copies, communication
  void set_streams(void* compute, void* copies, void* communication) {
    streams_[0] = compute, streams_[1] = copies, streams_[2] = communication;
  }
  // Before what the device consists of is gone.
  void free_staging() noexcept;
  void look() const;  // what watch() was given

  enum class Way { within, to_device, to_host };

  virtual void* do_allocate(i64 bytes) = 0;  // null: there is none
  virtual void do_release(void* memory, i64 bytes) noexcept = 0;
  virtual void* do_allocate_pinned(i64 bytes) = 0;
  virtual void do_release_pinned(void* memory, i64 bytes) noexcept = 0;
  virtual void do_fill_zero(void* memory, i64 bytes, Stream) = 0;
  virtual void do_copy(void* to, const void* from, i64 bytes, Way, Stream) = 0;
  virtual void do_synchronize(Stream) = 0;

 private:
  friend class Event;
  virtual void* make_event() = 0;
  virtual void free_event(void* event) noexcept = 0;
  virtual void record(void* event, Stream) = 0;
  virtual void wait(Stream, void* event) = 0;
  virtual void wait_on_host(void* event) = 0;

  Device* self() const { return const_cast<Device*>(this); }
  void check_stream(const Stream&) const;
  class Staging;
  Staging& staging();

  Backend backend_;
  std::string name_;
  void* streams_[3] = {};
  mutable std::mutex mutex_;  // of the numbers below
  std::map<std::string, i64> by_label_;
  i64 allocations_ = 0, synchronizations_ = 0, watched_ = 0;
  std::map<i64, std::function<void()>> watchers_;
  std::mutex staging_mutex_;
  std::unique_ptr<Staging> staging_;
};

// A place in a stream that others wait for. Recorded again it stands for the later place; what has begun to
// wait for the earlier one is not changed.
class Event {
 public:
  explicit Event(Device& device) : device_(&device), handle_(device.make_event()) {}
  ~Event() {
    if (handle_ != nullptr) device_->free_event(handle_);
  }
  Event(Event&& other) noexcept : device_(other.device_), handle_(std::exchange(other.handle_, nullptr)) {}
  Event& operator=(Event&&) = delete;

  void record(Stream stream) { device_->record(handle_, stream); }
  // What is queued on the stream from now on runs behind the place. An event that was never recorded is
  // passed by.
  void wait(Stream stream) const { device_->wait(stream, handle_); }
  void wait_on_host() const { device_->wait_on_host(handle_); }

 private:
  Device* device_;
  void* handle_;
};

// Memory of the host that a device copies from and to.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(Device& device, i64 bytes)
      : device_(&device), data_(device.allocate_pinned(bytes)), bytes_(bytes) {}
  ~PinnedMemory() { reset(); }
  PinnedMemory(PinnedMemory&& other) noexcept { *this = std::move(other); }
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    std::swap(device_, other.device_), std::swap(data_, other.data_), std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  i64 bytes() const { return bytes_; }

 private:
  void reset() noexcept {
    if (data_ != nullptr) device_->release_pinned(data_, bytes_);
    data_ = nullptr;
  }
  Device* device_ = nullptr;
  void* data_ = nullptr;
  i64 bytes_ = 0;
};

// Where memory lies: of a backend that needs no device, or of one.
struct MemoryPlace {
  MemoryPlace(Backend where = Backend::host) : backend(where) {}                         // NOLINT: implicit
  MemoryPlace(Device& which) : backend(which.backend()), device(&which) {}               // NOLINT: implicit
  MemoryPlace(const Stream& stream) : backend(stream.backend), device(stream.device) {}  // NOLINT: implicit

  Backend backend;
  Device* device = nullptr;
};

}  // namespace longsight
