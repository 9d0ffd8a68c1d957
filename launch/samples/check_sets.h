// Looks at every sample as training takes it, so that what is wrong is said before the first step and not
// hours later. Training and `longsight data lint` share it: what one refuses the other one lists.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "launch/samples/data_sets.h"
#include "launch/verb.h"

namespace longsight::launch {

// A sample that training refuses.
struct SampleProblem {
  i64 number = 0;         // among those of all sets, in order
  bool overlong = false;  // in order otherwise
  ExitCode code = ExitCode::bad_data;
  std::string message;  // begins with file and line
};

// What a look at one sample gave.
struct SampleOutcome {
  enum Kind : std::int32_t {
    kept,
    shrunk,    // with smaller images, to fit
    dropped,   // too long: data.overlong: drop
    overlong,  // too long: an error
    bad,       // cannot be read: an error, or left out
  };
  std::int32_t tokens = 0;  // 0: not trained
  Kind kind = kept;
  u64 pictures = 0;  // state of its pictures, if they were decoded
};

enum class Decode { never, unknown, always };  // unknown: pictures that data.index does not know

struct Look {
  i64 rank = 0, ranks = 1;  // samples rank, rank + ranks, .. of all sets together
  Decode decode = Decode::unknown;
  // Both on the calling thread, in order. After `problem` the next sample is looked at.
  std::function<void(SampleProblem)> problem;
  std::function<void(i64 done)> progress = nullptr;  // now and then
};
// On all threads of this rank.
std::vector<SampleOutcome> look_at_share(const DataSets&, const Look&);

// The first problems of the samples, in order: of those that training refuses, and of those that data.bad:
// skip leaves out.
struct FirstProblems {
  std::vector<SampleProblem> refused = {}, skipped = {};
  void add(SampleProblem problem, bool skip);  // no more than are said
};
// The error that ends training before its first step, nothing where it can begin: its code is that of the
// first sample that is refused; also for a hundred samples in a row, or a whole set, that data.bad: skip
// would leave out.
std::optional<Error> refusal(const DataSets&, const std::vector<SampleOutcome>&, const FirstProblems&);

// Of all samples: puts their lengths into the sets. bad_data for a set of which nothing is left; usage for
// micro-batches that are shorter than every sample.
void keep_lengths(DataSets&, const std::vector<SampleOutcome>&);
// Keeps which pictures were decoded in data.index, where that is given.
void remember_pictures(const DataSets&, const std::vector<SampleOutcome>&);

// What was found in training, or held-out, data.
struct CheckCounts {
  i64 samples = 0, shrunk = 0, dropped = 0, overlong = 0, bad = 0;
  i64 decoded = 0;  // samples whose pictures were decoded, or known to be in order
};
// "1,000 samples, 12 of them longer than 768 tokens and left out"
std::string text_of(const CheckCounts& counts, i64 limit);

// Collective over the ranks of the job, which share the samples; puts the lengths of all into the sets, the
// same on every rank: 0 for those that are left out. Pictures are decoded as data.decode_first says. Throws
// on every rank alike: the error of the one sample that is refused, or their number, the first ten having
// been logged; also where nothing is left of a set, or with data.bad: skip a hundred samples in a row cannot
// be read.
void check_sets(DataSets&, Job&);

}  // namespace longsight::launch
