#include "launch/training/trained_values.h"

#include "parallel/sharded_parameters.h"

namespace longsight::launch {

TrainedValues::TrainedValues(const ParameterRegistry& parameters, Stream stream) {
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    if (!parameters.has_grad(id)) continue;
    const Tensor values = parameters.held_value(id);
    copies_.push_back(
        {id, OwnedTensor(values.dtype(), values.shape(), "trained values", parameters.memory())});
    copy(copies_.back().values, values, stream);
  }
}

void TrainedValues::put_back(const ParameterRegistry& parameters, parallel::ProcessGroup& world,
                             Stream stream) const {
  for (const Copy& kept : copies_) copy(parameters.held_value(kept.id), kept.values, stream);
  parallel::refresh_weights(parameters, &world, stream);
}

}  // namespace longsight::launch
