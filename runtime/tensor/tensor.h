// Tensor: a view of contiguous memory (pointer, dtype, shape). Copying it copies no data. Storage: the owner.
#pragma once

#include <memory>
#include <string>

#include "runtime/device/device.h"
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/shape.h"

namespace longsight {

class Tensor {
 public:
  Tensor() = default;
  Tensor(void* data, DType dtype, Shape shape, Backend backend = Backend::host)
      : data_(data), shape_(shape), dtype_(dtype), backend_(backend) {}

  explicit operator bool() const { return data_ != nullptr; }
  DType dtype() const { return dtype_; }
  Backend backend() const { return backend_; }
  const Shape& shape() const { return shape_; }
  i64 extent(int axis) const { return shape_[axis]; }
  i64 elements() const { return shape_.elements(); }
  i64 bytes() const { return elements() * size_of(dtype_); }

  // Seen as a matrix [rows, row_size]: the first extent, and the product of the others.
  i64 rows() const { return shape_[0]; }
  i64 row_size() const;

  void* data() const { return data_; }
  // The elements, of memory that the host may touch; T must be the tensor's dtype. Only the host's executors
  // of ops, io, data and tests look at them: all else hands views to ops and groups. Constness is the
  // caller's promise: ops name what they write. Memory of a simulated device faults where no stream runs.
  template <class T>
  T* host() const {
    check(dtype_of<T>() == dtype_ && host_computes(backend_), "a {} tensor of {} read as {} of the host",
          name_of(dtype_), name_of(backend_), name_of(dtype_of<T>()));
    return static_cast<T*>(data_);
  }

  Tensor row_range(i64 first, i64 count) const;  // rows [first, first + count), the same memory
  Tensor reshape(Shape shape) const;             // the same memory and number of elements

 private:
  void* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::F32;
  Backend backend_ = Backend::host;
};

void fill_zero(Tensor x, Stream);
// Same shape; converts between f32, f64, bf16 and, on the host, f16 (round to nearest even). On the stream of
// a device either may be the host's: what comes from the host may be changed when it returns, and what goes
// there is there.
void copy(Tensor to, Tensor from, Stream);

struct StorageRelease {
  i64 bytes = 0;
  Device* device = nullptr;
  std::string label = {};  // of memory of a device
  void operator()(void* data) const noexcept;
};

// Owns memory (64-byte aligned, zero-filled). Movable, not copyable. That of a trace is addresses only: to
// touch it ends the process. A device outlives its storages.
class Storage {
 public:
  Storage() = default;
  Storage(i64 bytes, std::string label, MemoryPlace place = {});

  Tensor tensor(DType dtype, Shape shape, i64 byte_offset = 0) const;
  i64 bytes() const { return bytes_; }
  const std::string& label() const { return label_; }
  const MemoryPlace& place() const { return place_; }

 private:
  std::unique_ptr<void, StorageRelease> data_;
  i64 bytes_ = 0;
  std::string label_;
  MemoryPlace place_;
};

// A tensor with its own storage, for tests and for data that outlives a step.
class OwnedTensor {
 public:
  OwnedTensor() = default;
  OwnedTensor(DType dtype, Shape shape, const std::string& label = "tensor", MemoryPlace place = {})
      : storage_(shape.elements() * size_of(dtype), label, place), view_(storage_.tensor(dtype, shape)) {}
  operator Tensor() const { return view_; }  // NOLINT: implicit by design, an owner is used where a view is
  const Tensor& view() const { return view_; }
  const Tensor* operator->() const { return &view_; }

 private:
  Storage storage_;
  Tensor view_;
};

}  // namespace longsight
