#include "runtime/tensor/tensor.h"

#include <bit>
#include <cstring>

#include <sys/mman.h>

#include "runtime/device/trace.h"
#include "runtime/tensor/convert.h"
#include "runtime/tensor/cuda/convert.h"

namespace longsight {

i64 Tensor::row_size() const {
  i64 product = 1;
  for (i64 extent : shape_.extents().subspan(1)) product = checked_mul(product, extent);
  return product;
}

Tensor Tensor::row_range(i64 first, i64 count) const {
  check(first >= 0 && count >= 0 && first + count <= rows(), "rows {} to {} of a tensor {}", first,
        first + count, shape_);
  std::array<i64, Shape::kMaxRank> extents{};
  std::copy(shape_.extents().begin(), shape_.extents().end(), extents.begin());
  extents[0] = count;
  const Shape part(std::span<const i64>(extents.data(), static_cast<std::size_t>(shape_.rank())));
  return {static_cast<std::byte*>(data_) + first * row_size() * size_of(dtype_), dtype_, part, backend_};
}

Tensor Tensor::reshape(Shape shape) const {
  check(shape.elements() == elements(), "{} seen as {}", shape_, shape);
  return {data_, dtype_, shape, backend_};
}

void fill_zero(Tensor x, Stream stream) {
  if (stream.backend == Backend::trace) {
    return trace_of(stream).record({.op = "fill_zero", .bytes = static_cast<double>(x.bytes())});
  }
  if (stream.device != nullptr) {
    check(x.backend() == stream.backend, "memory of {} is zeroed on a stream of {}", name_of(x.backend()),
          name_of(stream.backend));
    return stream.device->fill_zero(x.data(), x.bytes(), stream);
  }
  if (x.bytes() > 0) std::memset(x.data(), 0, static_cast<std::size_t>(x.bytes()));
}

namespace {

void convert(Tensor to, Tensor from) {
  convert(to.data(), to.dtype(), from.data(), from.dtype(), from.elements());
}

// Memory of the host is converted on the host.
void copy_on_device(Tensor to, Tensor from, Stream stream) {
  Device& device = *stream.device;
  const bool to_host = to.backend() == Backend::host, from_host = from.backend() == Backend::host;
  check((to_host || to.backend() == stream.backend) && (from_host || from.backend() == stream.backend),
        "a copy from memory of {} to that of {} on a stream of {}", name_of(from.backend()),
        name_of(to.backend()), name_of(stream.backend));
  if (to_host && from_host) return convert(to, from);
  if (to.dtype() != from.dtype()) {
    if (!to_host && !from_host) {
      if (device.backend() == Backend::cuda) return cuda::convert(to, from, stream);
      return device.queue_host_work(stream, "copy", [=] { convert(to, from); });
    }
    const OwnedTensor converted(to_host ? from.dtype() : to.dtype(), from.shape(), "copy");
    if (to_host) {
      device.read(converted->data(), from.data(), from.bytes(), stream);
      return convert(to, converted);
    }
    convert(converted, from);
    return device.write(to.data(), converted->data(), to.bytes(), stream);
  }
  if (to_host) return device.read(to.data(), from.data(), from.bytes(), stream);
  if (from_host) return device.write(to.data(), from.data(), from.bytes(), stream);
  device.copy_within(to.data(), from.data(), from.bytes(), stream);
}

}  // namespace

void copy(Tensor to, Tensor from, Stream stream) {
  check(to.shape() == from.shape(), "copy of {} into {}", from.shape(), to.shape());
  if (stream.backend == Backend::trace) {
    return trace_of(stream).record({.op = "copy", .bytes = static_cast<double>(to.bytes() + from.bytes())});
  }
  if (stream.device != nullptr) return copy_on_device(to, from, stream);
  check(host_computes(to.backend()) && host_computes(from.backend()),
        "a copy from memory of {} to that of {} on a stream of the host", name_of(from.backend()),
        name_of(to.backend()));
  convert(to, from);
}

Storage::Storage(i64 bytes, std::string label, MemoryPlace place)
    : bytes_(bytes), label_(std::move(label)), place_(place) {
  if (bytes == 0) return;
  if (place.device != nullptr) {
    data_ = {place.device->allocate(bytes, label_), StorageRelease{bytes, place.device, label_}};
    return;
  }
  check(place.backend == Backend::host || place.backend == Backend::trace,
        "storage {} on {} without a device", label_, name_of(place.backend));
  // Anonymous pages are zero, cost nothing until touched, and may become huge pages.
  const auto size = static_cast<std::size_t>(bytes);
  const bool traced = place.backend == Backend::trace;
  void* data = mmap(nullptr, size, traced ? PROT_NONE : PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | (traced ? MAP_NORESERVE : 0), -1, 0);
  require(data != MAP_FAILED, ExitCode::internal, "out of memory: {} bytes for {}", bytes, label_);
  data_ = {data, StorageRelease{.bytes = bytes}};
  if (bytes >= (i64{8} << 20) && !traced) madvise(data, size, MADV_HUGEPAGE);
}

void StorageRelease::operator()(void* data) const noexcept {
  if (device != nullptr) return device->release(data, bytes, label);
  munmap(data, static_cast<std::size_t>(bytes));
}

Tensor Storage::tensor(DType dtype, Shape shape, i64 byte_offset) const {
  check(byte_offset >= 0 && byte_offset + shape.elements() * size_of(dtype) <= bytes_,
        "storage {} of {} bytes cannot hold {} {} at {}", label_, bytes_, name_of(dtype), shape, byte_offset);
  // A tensor without elements still has a (non-null) address, so that it counts as present.
  static std::byte empty[64];
  return {data_ ? static_cast<std::byte*>(data_.get()) + byte_offset : empty, dtype, shape, place_.backend};
}

}  // namespace longsight
