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

void begin_part(Stream stream, const char* name) {
  if (stream.backend == Backend::trace) trace_of(stream).begin_part(name);
}

ComputingAgain::ComputingAgain(Stream stream) : stream_(stream) {
  if (stream.backend == Backend::trace) before_ = trace_of(stream).set_again(true);
}

ComputingAgain::~ComputingAgain() {
  if (stream_.backend == Backend::trace) trace_of(stream_).set_again(before_);
}

}  // namespace longsight
