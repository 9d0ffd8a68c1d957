// A copy of the values that are trained, as far as this rank holds them, to go back to: merging adapters
// changes them.
#pragma once

#include <vector>

#include "parallel/groups/process_group.h"
#include "runtime/tensor/parameters.h"

namespace longsight::launch {

class TrainedValues {
 public:
  TrainedValues(const ParameterRegistry&, Stream);
  // Collective over `world`, whose ranks the parameters may be dealt over.
  void put_back(const ParameterRegistry&, parallel::ProcessGroup& world, Stream) const;

 private:
  struct Copy {
    ParameterId id;
    OwnedTensor values;
  };
  std::vector<Copy> copies_;
};

}  // namespace longsight::launch
