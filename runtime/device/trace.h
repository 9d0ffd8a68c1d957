// A program run for its description: on the stream of a Trace the ops compute nothing and say what they would
// do. With arenas of Backend::trace, which hand out addresses and no memory, the program itself then tells
// what it needs.
#pragma once

#include <string>
#include <vector>

#include "runtime/device/stream.h"

namespace longsight {

// Of one call of an op.
struct Work {
  const char* op = "";
  double flops = 0;  // multiplications and additions of matrix products and of attention; else 0: their time
                     // is that of the bytes
  double bytes = 0;  // read and written, each operand once
  double again = 0;  // of the flops: what a forward op had computed before
};

class Trace {
 public:
  Stream stream() { return {Backend::trace, this}; }
  void record(const Work& work) { calls_.push_back(work); }

  const std::vector<Work>& calls() const { return calls_; }  // in order
  double flops() const;
  double bytes() const;

 private:
  std::vector<Work> calls_;
};

// The trace that a stream of Backend::trace belongs to.
Trace& trace_of(Stream stream);

}  // namespace longsight
