#include "runtime/tensor/upload.h"

#include <algorithm>
#include <cstring>

namespace longsight {
namespace {

constexpr i64 kPieceAlign = 64;
constexpr i64 kGrain = i64{64} << 10;

i64 aligned(i64 bytes) {
  return ceil_div(bytes, kPieceAlign) * kPieceAlign;
}

}  // namespace

// The smallest that is large enough; where all are too small, the largest makes room for a new one.
std::unique_ptr<UploadBuffers::Buffer> UploadBuffers::take(i64 bytes) {
  std::unique_ptr<Buffer> chosen;
  {
    const std::lock_guard lock(mutex_);
    const auto by_size = [](const auto& a, const auto& b) { return a->memory.bytes() < b->memory.bytes(); };
    std::sort(free_.begin(), free_.end(), by_size);
    auto found =
        std::find_if(free_.begin(), free_.end(), [&](const auto& b) { return b->memory.bytes() >= bytes; });
    if (found == free_.end() && !free_.empty()) --found;
    if (found != free_.end()) {
      chosen = std::move(*found);
      free_.erase(found);
    }
  }
  if (chosen && chosen->memory.bytes() >= bytes) return chosen;
  chosen.reset();
  const i64 size = ceil_div(bytes, kGrain) * kGrain;
  return std::make_unique<Buffer>(Buffer{.pinned = PinnedMemory(device_, size),
                                         .memory = Storage(size, "inputs of a step", device_),
                                         .copied = Event(device_),
                                         .used = Event(device_)});
}

void UploadBuffers::give_back(std::unique_ptr<Buffer> buffer) noexcept {
  try {
    buffer->used.record(device_.compute());
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(buffer));
  } catch (...) {  // the device has failed, which whoever waits for it is told
  }
}

Upload::~Upload() {
  if (buffer_) buffers_->give_back(std::move(buffer_));
}

Upload& Upload::operator=(Upload&& other) noexcept {
  std::swap(buffers_, other.buffers_);
  pieces_.swap(other.pieces_);
  buffer_.swap(other.buffer_);
  return *this;
}

void Upload::add(Tensor from, Tensor& there) {
  check(from.backend() == Backend::host, "a tensor of {} is uploaded", name_of(from.backend()));
  there = Tensor(nullptr, from.dtype(), from.shape(), buffers_->device().backend());
  pieces_.push_back({.from = from.data(), .bytes = from.bytes(), .placed = [&there, from](void* data) {
                       there = Tensor(data, from.dtype(), from.shape(), there.backend());
                     }});
}

void Upload::run() {
  if (buffers_ == nullptr) return;
  check(!buffer_, "an upload runs twice");
  i64 bytes = kPieceAlign;  // a tensor without elements has an address, too
  for (const Piece& piece : pieces_) bytes += aligned(piece.bytes);
  buffer_ = buffers_->take(bytes);
  buffer_->copied.wait_on_host();  // the pinned memory is free again
  const Stream copies = buffers_->device().copies();
  std::byte* const there = static_cast<std::byte*>(buffer_->memory.tensor(DType::U8, {bytes}).data());
  i64 at = 0;
  for (const Piece& piece : pieces_) {
    if (piece.bytes > 0)
      std::memcpy(buffer_->pinned.data() + at, piece.from, static_cast<std::size_t>(piece.bytes));
    piece.placed(there + at);
    at += aligned(piece.bytes);
  }
  pieces_.clear();
  buffer_->used.wait(copies);
  buffers_->device().copy_to_device(there, buffer_->pinned.data(), at, copies);
  buffer_->copied.record(copies);
}

void Upload::wait(Stream stream) const {
  if (buffer_) buffer_->copied.wait(stream);
}

}  // namespace longsight
