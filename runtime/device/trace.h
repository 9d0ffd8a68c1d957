// A program run for its description: on the stream of a Trace the ops compute nothing and say what they would
// do. With arenas of Backend::trace, which hand out addresses and no memory, the program itself then tells
// what it needs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/device/stream.h"

namespace longsight {

// Of one call of an op.
struct Work {
  const char* op = "";
  double flops = 0;  // multiplications and additions of matrix products and of attention; else 0: their time
                     // is that of the bytes
  double bytes = 0;  // read and written, each operand once
  double again = 0;  // of the flops: what had been computed before
  const char* part = "";  // of the program: see begin_part
};

class Trace {
 public:
  Stream stream() { return {Backend::trace, this}; }
  void record(Work work) {
    work.part = part_;
    if (again_) work.again = work.flops;
    calls_.push_back(work);
  }
  void begin_part(const char* name) { part_ = name; }
  const char* part() const { return part_; }
  // What is recorded while it is on has been computed before: forward once more, for backward.
  bool set_again(bool again) { return std::exchange(again_, again); }

  // Whether ops take the scratch that they need on this machine, which differs between machines and numbers
  // of threads: the tiles of attention.
  bool takes_tiles = true;

  const std::vector<Work>& calls() const { return calls_; }  // in order
  double flops() const;                                      // what is computed again included
  double bytes() const;

 private:
  std::vector<Work> calls_;
  const char* part_ = "";
  bool again_ = false;
};

// The trace that a stream of Backend::trace belongs to.
Trace& trace_of(Stream stream);

// What is recorded from here on belongs to this part of the program (a string that lives as long as the
// program); nothing on other streams.
void begin_part(Stream stream, const char* name);

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
