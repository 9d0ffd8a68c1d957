#include "parallel/groups/trace_group.h"

namespace longsight::parallel {

void TraceGroup::nothing() {
  fail(ExitCode::internal, "a group of a trace cannot communicate");
}

std::unique_ptr<ProcessGroup> TraceGroup::split(int, int, std::string) {
  nothing();
}

bool TraceGroup::lists(const Exchange& exchange, DType dtype, Stream stream) {
  list_->schedule.add(label(), dtype, exchange);
  list_->places.push_back(trace_of(stream).place());
  return true;
}

// Calls whose counts are the same on every rank; the others are known as a whole (see lists).
bool TraceGroup::announce(const Call& call, Stream stream) {
  const bool same = call.operation == Operation::all_reduce_sum ||
                    call.operation == Operation::all_reduce_max || call.operation == Operation::broadcast ||
                    call.operation == Operation::values || call.operation == Operation::barrier;
  check(same, "{}: a trace knows exchanges only as a whole (parallel/groups/exchange.h)", describe(call));
  list_->schedule.add({.operation = call.operation,
                       .label = call.label,
                       .group = label(),
                       .dtype = call.dtype,
                       .count = call.sent.empty() ? 0 : call.sent.front(),
                       .peer = call.peer});
  list_->places.push_back(trace_of(stream).place());
  return false;
}

}  // namespace longsight::parallel
