// What data.bad: skip leaves out, for whoever goes through the samples of one data set.
#pragma once

#include <exception>
#include <string>

#include "launch/samples/data_sources.h"

namespace longsight::launch {

// data.bad: skip is for single samples, not for data that are wrong as a whole: so many in a row, or all of a
// set, are an error.
inline constexpr i64 kBadInARow = 100;
// `where`: the first of the row, whose problem is `first`.
Error too_many_bad(const std::string& where, i64 row, const std::string& first);

class LeftOut {
 public:
  // `samples`: of the source, those that are gone through. Refers to the source.
  LeftOut(const OpenSource& source, i64 samples, bool skip)
      : source_(source), samples_(samples), skip_(skip) {}

  // Sample `index` (ascending) cannot be read. Throws `error` where nothing is left out, or the error that
  // there are too many; the first ones are logged.
  void add(i64 index, const std::exception_ptr& error);

  i64 count() const { return count_; }
  void log() const;  // how many, if there are any

 private:
  const OpenSource& source_;
  i64 samples_;
  bool skip_;
  i64 count_ = 0, row_ = 0, last_ = -1;
  std::string first_;
};

// Whether the configuration, if it is one, leaves bad samples out.
bool skips_bad(const FileOptions&);

}  // namespace longsight::launch
