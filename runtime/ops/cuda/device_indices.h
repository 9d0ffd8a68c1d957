// Private to the executors for CUDA: row numbers where a kernel can read them.
#pragma once

#include "runtime/device/lanes/stream_memory.h"
#include "runtime/tensor/index_list.h"

namespace longsight::ops::cuda {

// Of a list, for what is queued on the stream during its life.
class DeviceIndices {
 public:
  DeviceIndices(const IndexList& list, Stream stream) : values_(list.host(), stream) {}
  const i64* data() const { return values_.data(); }

 private:
  lanes::StreamArray<i64> values_;
};

}  // namespace longsight::ops::cuda
