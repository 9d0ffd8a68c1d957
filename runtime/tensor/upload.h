// What the host has prepared for a step, brought to a device in one piece on its copy stream, while the
// device computes the step before.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "runtime/tensor/index_list.h"
#include "runtime/tensor/tensor.h"

namespace longsight {

// Memory of uploads, kept between them: nothing is allocated once the largest step has been seen. Outlives
// its uploads.
class UploadBuffers {
 public:
  explicit UploadBuffers(Device& device) : device_(device) {}
  UploadBuffers(const UploadBuffers&) = delete;
  UploadBuffers& operator=(const UploadBuffers&) = delete;

  Device& device() const { return device_; }

 private:
  friend class Upload;
  struct Buffer {
    PinnedMemory pinned;
    Storage memory;
    Event copied, used;  // by the copy stream; by the stream that computes
  };
  std::unique_ptr<Buffer> take(i64 bytes);
  void give_back(std::unique_ptr<Buffer>) noexcept;

  Device& device_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Buffer>> free_;
};

// Lists and tensors of one step. What was uploaded is on the device until the upload is gone; work that was
// queued before that on the stream that computes may still read it.
class Upload {
 public:
  Upload() = default;  // of nothing
  explicit Upload(UploadBuffers& buffers) : buffers_(&buffers) {}
  ~Upload();
  Upload(Upload&& other) noexcept { *this = std::move(other); }
  Upload& operator=(Upload&& other) noexcept;

  // Noted: they stay where they are until run().
  template <class T>
  void add(const SharedList<T>& list) {
    if (list.empty() || list.is_on(buffers_->device())) return;
    pieces_.push_back({.from = list.host().data(),
                       .bytes = narrow<i64>(list.host().size_bytes()),
                       .placed = [state = list.state_, device = &buffers_->device()](void* there) {
                         state->device = device;
                         state->uploaded = static_cast<const T*>(there);
                       }});
  }
  void add(const IndexList& list) { add(list.values()); }
  // `there` becomes the tensor of the device; it stays where it is until run().
  void add(Tensor from, Tensor& there);

  // Copies all that was added, behind what still reads the memory, and returns. Any thread; once.
  void run();
  // What is queued on the stream from now on finds it there.
  void wait(Stream) const;

 private:
  struct Piece {
    const void* from = nullptr;
    i64 bytes = 0;
    std::function<void(void*)> placed;
  };
  UploadBuffers* buffers_ = nullptr;
  std::vector<Piece> pieces_;
  std::unique_ptr<UploadBuffers::Buffer> buffer_;
};

}  // namespace longsight
