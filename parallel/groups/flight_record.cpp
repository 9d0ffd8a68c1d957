#include "parallel/groups/flight_record.h"

#include <algorithm>

#include "runtime/base/clock.h"

namespace longsight::parallel {
const char* name_of(Phase phase) {
  switch (phase) {
    case Phase::start:
      return "start";
    case Phase::data:
      return "wait for data";
    case Phase::compute:
      return "forward and backward";
    case Phase::gradient_sum:
      return "sum of gradients";
    case Phase::update:
      return "update";
    case Phase::evaluation:
      return "evaluation";
    case Phase::save:
      return "save";
    case Phase::end:
      return "end of the run";
  }
  return "unknown";
}

FlightRecord::FlightRecord() : ring_(kCalls) {
  now_.since = steady_seconds();
}

void FlightRecord::begin(const Call& call, const std::string& group, i64 in_group, double at) {
  const std::lock_guard guard(mutex_);
  CallRecord& entry = now_.call;
  entry.number += 1;
  entry.in_group = in_group;
  entry.operation = call.operation;
  entry.bytes = call.bytes();
  entry.begun = at;
  entry.done = 0;
  copy_cut(group, entry.group);
  copy_cut(call.label, entry.label);
  if (group == kWorldLabel) now_.world = in_group;
  now_.since = at;
  ring_[static_cast<std::size_t>(entry.number) % kCalls] = entry;
}

void FlightRecord::end(double at) {
  const std::lock_guard guard(mutex_);
  now_.call.done = at;
  now_.since = at;
  ring_[static_cast<std::size_t>(now_.call.number) % kCalls].done = at;
}

void FlightRecord::enter(Phase phase) {
  const std::lock_guard guard(mutex_);
  now_.phase = phase;
  now_.since = steady_seconds();
}

void FlightRecord::step_done(i64 step) {
  const std::lock_guard guard(mutex_);
  now_.step = step;
  now_.since = steady_seconds();
}

Standing FlightRecord::standing() const {
  const std::lock_guard guard(mutex_);
  return now_;
}

std::vector<CallRecord> FlightRecord::calls() const {
  const std::lock_guard guard(mutex_);
  std::vector<CallRecord> calls;
  const i64 last = now_.call.number;
  for (i64 number = std::max(i64{1}, last - static_cast<i64>(kCalls) + 1); number <= last; ++number)
    calls.push_back(ring_[static_cast<std::size_t>(number) % kCalls]);
  return calls;
}

}  // namespace longsight::parallel
