// A program run for its description: on the stream of a Trace the ops compute nothing and say what they would
// do. With arenas of Backend::trace, which hand out addresses and no memory, the program itself then tells
// what it needs.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/number.h"
#include "runtime/device/stream.h"

namespace longsight {

// Where in the program something is recorded.
struct ProgramPlace {
  const char* part = "";       // see begin_part
  const void* unit = nullptr;  // see UnitScope
};

// Of one call of an op.
struct Work {
  const char* op = "";
  double flops = 0;  // multiplications and additions of matrix products and of attention; else 0: their time
                     // is that of the bytes
  double bytes = 0;  // read and written, each operand once
  double again = 0;  // of the flops: what had been computed before
  i64 times = 1;     // so many such calls, one after the other: see for_chunks
  ProgramPlace place = {};
};

class Trace {
 public:
  Stream stream() { return {Backend::trace, this}; }
  void record(Work work) {
    work.place = place_;
    work.times = times_;
    if (again_) work.again = work.flops;
    calls_.push_back(work);
  }
  void begin_part(const char* name) { place_.part = name; }
  const void* set_unit(const void* unit) { return std::exchange(place_.unit, unit); }
  ProgramPlace place() const { return place_; }
  // What is recorded while it is on has been computed before: forward once more, for backward.
  bool set_again(bool again) { return std::exchange(again_, again); }
  i64 set_times(i64 times) { return std::exchange(times_, times); }
  // The unit that runs leaves so many bytes for backward.
  void record_kept(i64 bytes) { kept_[place_.unit] += bytes; }

  // Whether ops take the scratch that they need on this machine, which differs between machines and numbers
  // of threads: the tiles of attention.
  bool takes_tiles = true;

  const std::vector<Work>& calls() const { return calls_; }         // in order
  const std::map<const void*, i64>& kept() const { return kept_; }  // bytes, by unit
  double flops() const;                                             // what is computed again included
  double useful_flops() const;                                      // and without
  double bytes() const;

 private:
  std::vector<Work> calls_;
  std::map<const void*, i64> kept_;
  ProgramPlace place_;
  bool again_ = false;
  i64 times_ = 1;
};

// The trace that a stream of Backend::trace belongs to.
Trace& trace_of(Stream stream);

// What is recorded from here on belongs to this part of the program (a string that lives as long as the
// program); nothing on other streams.
void begin_part(Stream stream, const char* name);

// While it lives, what is recorded is that of one unit of the program, told by its address: a block.
class UnitScope {
 public:
  UnitScope(Stream stream, const void* unit);
  ~UnitScope();
  UnitScope(const UnitScope&) = delete;
  UnitScope& operator=(const UnitScope&) = delete;

 private:
  Stream stream_;
  const void* before_ = nullptr;
};
void record_kept(Stream stream, i64 bytes);

// f(first row, rows) for one chunk of rows after the other. In a trace all full chunks, which are alike, are
// recorded by the first of them.
template <class F>
void for_chunks(i64 rows, i64 chunk, Stream stream, F&& f) {
  i64 first = 0;
  if (stream.backend == Backend::trace && rows >= chunk) {
    Trace& trace = trace_of(stream);
    const i64 full = rows / chunk, before = trace.set_times(full);
    f(first, chunk);
    trace.set_times(before);
    first = full * chunk;
  }
  for (; first < rows; first += chunk) f(first, std::min(chunk, rows - first));
}

// While it lives, the ops on the stream compute what had been computed before.
class ComputingAgain {
 public:
  explicit ComputingAgain(Stream stream);
  ~ComputingAgain();
  ComputingAgain(const ComputingAgain&) = delete;
  ComputingAgain& operator=(const ComputingAgain&) = delete;

 private:
  Stream stream_;
  bool before_ = false;
};

}  // namespace longsight
