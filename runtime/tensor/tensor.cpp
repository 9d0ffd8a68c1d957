#include "runtime/tensor/tensor.h"

#include <bit>
#include <cstring>

#include <sys/mman.h>

#include "runtime/device/trace.h"
#include "runtime/tensor/convert.h"

namespace longsight {

i64 Tensor::row_size() const {
  i64 product = 1;
  for (i64 extent : shape_.extents().subspan(1)) product = checked_mul(product, extent);
  return product;
}

Tensor Tensor::row_range(i64 first, i64 count) const {
  check(first >= 0 && count >= 0 && first + count <= rows(), "rows {} to {} of a tensor {}", first,
        first + count, shape_.text());
  std::array<i64, Shape::kMaxRank> extents{};
  std::copy(shape_.extents().begin(), shape_.extents().end(), extents.begin());
  extents[0] = count;
  const Shape part(std::span<const i64>(extents.data(), static_cast<std::size_t>(shape_.rank())));
  return {static_cast<std::byte*>(data_) + first * row_size() * size_of(dtype_), dtype_, part, backend_};
}

Tensor Tensor::reshape(Shape shape) const {
  check(shape.elements() == elements(), "{} seen as {}", shape_.text(), shape);
  return {data_, dtype_, shape, backend_};
}

void fill_zero(Tensor x, Stream stream) {
  if (stream.backend == Backend::trace) {
    return trace_of(stream).record({.op = "fill_zero", .bytes = static_cast<double>(x.bytes())});
  }
  if (x.bytes() > 0) std::memset(x.data(), 0, static_cast<std::size_t>(x.bytes()));
}

void copy(Tensor to, Tensor from, Stream stream) {
  check(to.shape() == from.shape(), "copy of {} into {}", from.shape(), to.shape());
  if (stream.backend == Backend::trace) {
    return trace_of(stream).record({.op = "copy", .bytes = static_cast<double>(to.bytes() + from.bytes())});
  }
  convert(to.data(), to.dtype(), from.data(), from.dtype(), from.elements());
}

Storage::Storage(i64 bytes, std::string label, Backend backend)
    : bytes_(bytes), label_(std::move(label)), backend_(backend) {
  check(backend != Backend::cuda, "storage {} on {}: this build has no such backend", label_,
        name_of(backend));
  if (bytes == 0) return;
  // Anonymous pages are zero, cost nothing until touched, and may become huge pages.
  const auto size = static_cast<std::size_t>(bytes);
  const bool traced = backend == Backend::trace;
  void* data = mmap(nullptr, size, traced ? PROT_NONE : PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | (traced ? MAP_NORESERVE : 0), -1, 0);
  require(data != MAP_FAILED, ExitCode::internal, "out of memory: {} bytes for {}", bytes, label_);
  data_ = {data, StorageRelease{bytes}};
  if (bytes >= (i64{8} << 20) && !traced) madvise(data, size, MADV_HUGEPAGE);
}

void StorageRelease::operator()(void* data) const noexcept {
  munmap(data, static_cast<std::size_t>(bytes));
}

Tensor Storage::tensor(DType dtype, Shape shape, i64 byte_offset) const {
  check(byte_offset >= 0 && byte_offset + shape.elements() * size_of(dtype) <= bytes_,
        "storage {} of {} bytes cannot hold {} {} at {}", label_, bytes_, name_of(dtype), shape, byte_offset);
  // A tensor without elements still has a (non-null) address, so that it counts as present.
  static std::byte empty[64];
  return {data_ ? static_cast<std::byte*>(data_.get()) + byte_offset : empty, dtype, shape, backend_};
}

}  // namespace longsight
