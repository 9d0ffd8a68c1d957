#include "runtime/device/trace.h"

#include "runtime/base/error.h"

namespace longsight {

double Trace::flops() const {
  double sum = 0;
  for (const Work& work : calls_) sum += static_cast<double>(work.times) * work.flops;
  return sum;
}

double Trace::useful_flops() const {
  double sum = 0;
  for (const Work& work : calls_) sum += static_cast<double>(work.times) * (work.flops - work.again);
  return sum;
}

double Trace::bytes() const {
  double sum = 0;
  for (const Work& work : calls_) sum += static_cast<double>(work.times) * work.bytes;
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

UnitScope::UnitScope(Stream stream, const void* unit) : stream_(stream) {
  if (stream.backend == Backend::trace) before_ = trace_of(stream).set_unit(unit);
}

UnitScope::~UnitScope() {
  if (stream_.backend == Backend::trace) trace_of(stream_).set_unit(before_);
}

void record_kept(Stream stream, i64 bytes) {
  if (stream.backend == Backend::trace) trace_of(stream).record_kept(bytes);
}

ComputingAgain::ComputingAgain(Stream stream) : stream_(stream) {
  if (stream.backend == Backend::trace) before_ = trace_of(stream).set_again(true);
}

ComputingAgain::~ComputingAgain() {
  if (stream_.backend == Backend::trace) trace_of(stream_).set_again(before_);
}

}  // namespace longsight
