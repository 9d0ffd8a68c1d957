// Memory of a GPU that is taken and given back in the order of a stream: scratch of one call, and small lists
// that kernels read.
#pragma once

#include <span>
#include <type_traits>

#include "runtime/base/number.h"
#include "runtime/device/stream.h"

namespace longsight::lanes {

// From the pool of the stream's device, 256-byte aligned, not initialised. What is queued on the stream
// before the end of its life may use it.
class StreamMemory {
 public:
  StreamMemory(i64 bytes, Stream stream);
  ~StreamMemory();
  StreamMemory(const StreamMemory&) = delete;
  StreamMemory& operator=(const StreamMemory&) = delete;
  void* data() const { return data_; }
  // From memory of the host, which may go as soon as this returns.
  void fill_from_host(const void* from, i64 bytes);

 private:
  void* data_ = nullptr;
  i64 bytes_ = 0;
  Stream stream_;
};

// Copies memory of the device to the host when what is queued on the stream has run, and waits for it.
void copy_to_host(void* to, const void* from, i64 bytes, Stream stream);

// An array of so many elements, or a copy of those of the host.
template <class T>
class StreamArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  StreamArray(i64 count, Stream stream) : memory_(checked_mul(count, static_cast<i64>(sizeof(T))), stream) {}
  StreamArray(std::span<const T> values, Stream stream)
      : StreamArray(static_cast<i64>(values.size()), stream) {
    memory_.fill_from_host(values.data(), static_cast<i64>(values.size_bytes()));
  }
  T* data() const { return static_cast<T*>(memory_.data()); }

 private:
  StreamMemory memory_;
};

}  // namespace longsight::lanes
