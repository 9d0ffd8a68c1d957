#include "runtime/device/trace.h"

#include "runtime/base/error.h"

namespace longsight {

double Trace::flops() const {
  double sum = 0;
  for (const Work& work : calls_) sum += work.flops;
  return sum;
}

double Trace::bytes() const {
  double sum = 0;
  for (const Work& work : calls_) sum += work.bytes;
  return sum;
}

Trace& trace_of(Stream stream) {
  check(stream.backend == Backend::trace && stream.handle != nullptr, "a stream of {} has no trace",
        name_of(stream.backend));
  return *static_cast<Trace*>(stream.handle);
}

}  // namespace longsight
