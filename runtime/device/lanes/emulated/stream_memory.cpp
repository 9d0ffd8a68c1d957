#include "runtime/device/lanes/stream_memory.h"

#include <cstdlib>
#include <cstring>

namespace longsight::lanes {

// The emulator runs what is launched at once, so memory is free when its owner goes. NaN until it is written.
StreamMemory::StreamMemory(i64 bytes, Stream stream) : bytes_(bytes), stream_(stream) {
  if (bytes == 0) return;
  data_ = std::aligned_alloc(64, static_cast<std::size_t>(ceil_div(bytes, 64) * 64));
  check(data_ != nullptr, "no memory for a scratch of {} bytes", bytes);
  std::memset(data_, 0xff, static_cast<std::size_t>(bytes));
}

StreamMemory::~StreamMemory() {
  std::free(data_);
}

void StreamMemory::fill_from_host(const void* from, i64 bytes) {
  check(bytes <= bytes_, "{} bytes into a scratch of {}", bytes, bytes_);
  if (bytes > 0) std::memcpy(data_, from, static_cast<std::size_t>(bytes));
}

void copy_to_host(void* to, const void* from, i64 bytes, Stream) {
  if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

}  // namespace longsight::lanes
