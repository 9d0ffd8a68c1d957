#include "runtime/device/host_device.h"

#include <cstdlib>
#include <cstring>

namespace longsight {

void* HostDevice::do_allocate(i64 bytes) {
  const i64 size = ceil_div(bytes, alignment()) * alignment();
  void* const memory =
      std::aligned_alloc(static_cast<std::size_t>(alignment()), static_cast<std::size_t>(size));
  if (memory != nullptr) std::memset(memory, 0, static_cast<std::size_t>(size));
  return memory;
}

void HostDevice::do_release(void* memory, i64) noexcept {
  std::free(memory);
}

void HostDevice::do_fill_zero(void* memory, i64 bytes, Stream) {
  std::memset(memory, 0, static_cast<std::size_t>(bytes));
}

void HostDevice::do_copy(void* to, const void* from, i64 bytes, Way, Stream) {
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

}  // namespace longsight
