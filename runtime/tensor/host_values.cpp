#include "runtime/tensor/host_values.h"

#include <algorithm>

#include "runtime/device/trace.h"

namespace longsight {

template <class T>
std::vector<T> read_values(Tensor x, Stream stream) {
  if (stream.device != nullptr) {
    check(x.backend() == stream.backend && x.dtype() == dtype_of<T>(), "a {} tensor of {} read as {} of {}",
          name_of(x.dtype()), name_of(x.backend()), name_of(dtype_of<T>()), name_of(stream.backend));
    std::vector<T> read(static_cast<std::size_t>(x.elements()));
    stream.device->read(read.data(), x.data(), x.bytes(), stream);
    return read;
  }
  check(stream.backend == Backend::host, "values are read on a stream of {}", name_of(stream.backend));
  const T* const values = x.host<T>();
  return {values, values + x.elements()};
}

double read_scalar(Tensor x, Stream stream) {
  check(x.elements() == 1, "{} read as one number", x.shape());
  return read_values<double>(x, stream).front();
}

OwnedTensor host_copy(Tensor x, Stream stream) {
  OwnedTensor values(x.dtype(), x.shape(), "copy on the host");
  copy(values, x, stream);
  return values;
}

template <class T>
void write_values(Tensor x, std::span<const T> values, Stream stream) {
  check(x.elements() == static_cast<i64>(values.size()) && x.dtype() == dtype_of<T>(),
        "{} values of {} written into {} {}", values.size(), name_of(dtype_of<T>()), name_of(x.dtype()),
        x.shape());
  if (stream.backend == Backend::trace)
    return trace_of(stream).record({.op = "write_values", .bytes = static_cast<double>(x.bytes())});
  if (stream.device != nullptr && x.backend() == stream.backend)
    return stream.device->write(x.data(), values.data(), x.bytes(), stream);
  std::copy(values.begin(), values.end(), x.host<T>());
}

void write_scalar(Tensor x, double value, Stream stream) {
  write_values<double>(x, {&value, 1}, stream);
}

template std::vector<float> read_values(Tensor, Stream);
template std::vector<double> read_values(Tensor, Stream);
template std::vector<i64> read_values(Tensor, Stream);
template void write_values(Tensor, std::span<const float>, Stream);
template void write_values(Tensor, std::span<const double>, Stream);
template void write_values(Tensor, std::span<const i64>, Stream);

}  // namespace longsight
