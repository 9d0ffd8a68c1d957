// Which executor does an op's work: that of its stream's backend.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/device/trace.h"
#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// Calls `host` or `cuda`, or records the work where the stream is that of a trace. `host` captures what it
// needs by value, and lists of the caller as KeptList: a simulated device calls it later.
template <class Host, class Cuda>
void execute(Stream stream, const Work& work, Host&& host, Cuda&& cuda) {
  switch (stream.backend) {
    case Backend::host:
      return std::forward<Host>(host)();
    case Backend::trace:
      return trace_of(stream).record(work);
    case Backend::cuda:
      return std::forward<Cuda>(cuda)();
    case Backend::simulated:
      return stream.device->queue_host_work(stream, work.op, std::forward<Host>(host));
  }
  fail(ExitCode::internal, "{} on a stream of no backend", work.op);
}

// A list of the caller that an executor reads: the caller's own where the executor runs before the call
// returns, a copy where it is queued.
template <class T>
class KeptList {
 public:
  KeptList(std::span<const T> list, Stream stream) : list_(list) {
    if (stream.backend != Backend::simulated) return;
    copy_ = std::make_shared<const std::vector<T>>(list.begin(), list.end());
    list_ = *copy_;
  }
  std::span<const T> list() const { return list_; }

 private:
  std::shared_ptr<const std::vector<T>> copy_;
  std::span<const T> list_;
};

// An operand of an op, for counting; it may be empty.
struct Operand {
  Operand(const Tensor& x) : bytes(x ? static_cast<double>(x.bytes()) : 0) {}  // NOLINT: implicit
  Operand(const Matrix& x)                                                     // NOLINT: implicit
      : bytes(x ? static_cast<double>(x.rows) * static_cast<double>(x.cols * size_of(x.dtype)) : 0) {}

  double bytes = 0;
};

// Of operands that are read or written; what is read and written stands twice.
inline double bytes_of(std::initializer_list<Operand> operands) {
  double sum = 0;
  for (const Operand& operand : operands) sum += operand.bytes;
  return sum;
}

}  // namespace longsight::ops
