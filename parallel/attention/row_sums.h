// Results that are added up piece by piece, of ranks or of blocks of keys: in the statistics' type, and
// rounded once. Where that is the result's own type nothing is copied.
#pragma once

#include "parallel/workspace.h"
#include "runtime/ops/rows.h"

namespace longsight::parallel {

class RowSums {
 public:
  // Sums of the shape of `result`; memory for them, if need be, from the workspace's scratch.
  RowSums(Matrix result, const Workspace& w) : result_(result), sums_(result), stream_(w.stream) {
    const DType type = statistics_of(result.dtype);
    if (type != result.dtype) sums_ = w.scratch.take(type, {result.rows, result.cols}, "sums of rows");
  }

  Matrix sums() const { return sums_; }
  void begin_with_result() const {  // what the result holds
    if (apart()) ops::copy_matrix(sums_, result_, stream_);
  }
  void finish() const {
    if (apart()) ops::copy_matrix(result_, sums_, stream_);
  }

 private:
  bool apart() const { return sums_.dtype != result_.dtype; }

  Matrix result_, sums_;
  Stream stream_;
};

}  // namespace longsight::parallel
