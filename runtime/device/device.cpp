#include "runtime/device/device.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace longsight {

// A ring of pinned pieces for what the host writes while the device is behind: a piece is used again when the
// device has read it.
class Device::Staging {
 public:
  explicit Staging(Device& device) : device_(device), memory_(device, kPieces * kBytes) {
    for (i64 i = 0; i < kPieces; ++i) read_.emplace_back(device);
  }

  void write(std::byte* to, const std::byte* from, i64 bytes, Stream stream) {
    for (i64 done = 0; done < bytes; done += kBytes) {
      const i64 here = std::min(kBytes, bytes - done);
      std::byte* const piece = next();
      std::memcpy(piece, from + done, static_cast<std::size_t>(here));
      device_.copy_to_device(to + done, piece, here, stream);
      read_[static_cast<std::size_t>(at_)].record(stream);
    }
  }

  void read(std::byte* to, const std::byte* from, i64 bytes, Stream stream) {
    for (i64 done = 0; done < bytes; done += kBytes) {
      const i64 here = std::min(kBytes, bytes - done);
      std::byte* const piece = next();
      device_.copy_to_host(piece, from + done, here, stream);
      device_.synchronize(stream);
      std::memcpy(to + done, piece, static_cast<std::size_t>(here));
    }
  }

 private:
  std::byte* next() {
    at_ = (at_ + 1) % kPieces;
    read_[static_cast<std::size_t>(at_)].wait_on_host();
    return memory_.data() + at_ * kBytes;
  }

  static constexpr i64 kBytes = i64{1} << 20, kPieces = 8;
  Device& device_;
  PinnedMemory memory_;
  std::vector<Event> read_;
  i64 at_ = 0;
};

Device::Device(Backend backend, std::string name) : backend_(backend), name_(std::move(name)) {}

Device::~Device() = default;

void Device::free_staging() noexcept {
  staging_.reset();
}

Device::Staging& Device::staging() {
  if (!staging_) staging_ = std::make_unique<Staging>(*this);
  return *staging_;
}

void Device::check_stream(const Stream& stream) const {
  check(stream.device == this, "a stream of {} for {}", name_of(stream.backend), name_);
}

// ---- memory

void* Device::allocate(i64 bytes, const std::string& label) {
  check(bytes > 0, "{} bytes of {} for {}", bytes, name_, label);
  void* const memory = do_allocate(bytes);
  if (memory == nullptr) {
    throw OutOfDeviceMemory(fmt::format("out of memory on {}: {:.1f} MiB for {}; in use are\n{}", name_,
                                        static_cast<double>(bytes) / 1048576, label, table()),
                            bytes, allocated_bytes());
  }
  const std::lock_guard lock(mutex_);
  by_label_[label] += bytes;
  ++allocations_;
  return memory;
}

void Device::release(void* memory, i64 bytes, const std::string& label) noexcept {
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_label_.find(label);
    if (found != by_label_.end() && (found->second -= bytes) == 0) by_label_.erase(found);
  }
  do_release(memory, bytes);
}

void* Device::allocate_pinned(i64 bytes) {
  void* const memory = do_allocate_pinned(bytes);
  require(memory != nullptr, ExitCode::internal, "out of memory: {} bytes that {} copies from and to", bytes,
          name_);
  const std::lock_guard lock(mutex_);
  ++allocations_;
  return memory;
}

void Device::release_pinned(void* memory, i64 bytes) noexcept {
  do_release_pinned(memory, bytes);
}

i64 Device::allocated_bytes() const {
  const std::lock_guard lock(mutex_);
  i64 sum = 0;
  for (const auto& [label, bytes] : by_label_) sum += bytes;
  return sum;
}

std::string Device::table() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<i64, std::string>> rows;
  for (const auto& [label, bytes] : by_label_) rows.emplace_back(bytes, label);
  std::sort(rows.rbegin(), rows.rend());
  std::string text;
  for (const auto& [bytes, label] : rows)
    text += fmt::format("  {:10.1f} MiB  {}\n", static_cast<double>(bytes) / 1048576, label);
  return text;
}

// ---- watched

i64 Device::watch(std::function<void()> look) {
  const std::lock_guard lock(mutex_);
  watchers_.emplace(watched_, std::move(look));
  return watched_++;
}

void Device::unwatch(i64 number) noexcept {
  const std::lock_guard lock(mutex_);
  watchers_.erase(number);
}

void Device::look() const {
  std::vector<std::function<void()>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, one] : watchers_) all.push_back(one);
  }
  for (const auto& one : all) one();
}

// ---- work

void Device::fill_zero(void* memory, i64 bytes, Stream stream) {
  check_stream(stream);
  if (bytes > 0) do_fill_zero(memory, bytes, stream);
}

void Device::copy_within(void* to, const void* from, i64 bytes, Stream stream) {
  check_stream(stream);
  if (bytes > 0 && to != from) do_copy(to, from, bytes, Way::within, stream);
}

void Device::copy_to_device(void* to, const void* pinned, i64 bytes, Stream stream) {
  check_stream(stream);
  if (bytes > 0) do_copy(to, pinned, bytes, Way::to_device, stream);
}

void Device::copy_to_host(void* pinned, const void* from, i64 bytes, Stream stream) {
  check_stream(stream);
  if (bytes > 0) do_copy(pinned, from, bytes, Way::to_host, stream);
}

void Device::write(void* to, const void* from, i64 bytes, Stream stream) {
  check_stream(stream);
  const std::lock_guard lock(staging_mutex_);
  staging().write(static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes, stream);
}

void Device::read(void* to, const void* from, i64 bytes, Stream stream) {
  check_stream(stream);
  const std::lock_guard lock(staging_mutex_);
  staging().read(static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes, stream);
}

void Device::synchronize(Stream stream) {
  check_stream(stream);
  {
    const std::lock_guard lock(mutex_);
    ++synchronizations_;
  }
  do_synchronize(stream);
}

}  // namespace longsight
