// GPUs of NVIDIA. A program that was built without CUDA (CMake's LONGSIGHT_CUDA) has the same functions, and
// says so where one is asked for.
#pragma once

#include <memory>
#include <string>

#include "runtime/device/device.h"

namespace longsight {

struct CudaFacts {
  bool built = false;        // with CUDA
  int devices = 0;           // that this process may use
  std::string missing = {};  // what is missing where there are none, and what to do
  std::string driver = {};   // "13.0": the newest CUDA that the driver knows; empty: no driver
  std::string runtime = {};  // "13.0": that of the program; empty: built without
};
// Of this machine; never throws for what is missing.
CudaFacts cuda_facts();

// The device of this number among those of cuda_facts(). Throws usage, with what is missing, where there is
// none.
std::unique_ptr<Device> make_cuda_device(int number);

}  // namespace longsight
