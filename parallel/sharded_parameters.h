// What moves where parameters are dealt over the ranks of a world (runtime/tensor/sharding.h): a unit's
// values to all ranks that use them, its gradients to their owners, and whole parameters to a rank that
// writes them. Every element of a gradient is the sum over the ranks in rank order, as without a sharding.
//
// All but share_in are collective over `world`, whose ranks are those of the sharding.
#pragma once

#include <functional>

#include "parallel/groups/process_group.h"
#include "runtime/tensor/parameters.h"

namespace longsight::parallel {

using Reached = std::function<bool(const Parameter&)>;

// A rank's share of a bucket, whether it is dealt or not.
Share share_in(const ParameterBucket&, const ProcessGroup& world);

// ---- within a pass, unit by unit

// weights [elements of the unit] = what its owners hold. Stage 3.
void gather_unit(const ParameterRegistry&, i64 unit, Tensor weights, ProcessGroup& world, Stream);
// gradients [trained elements of the unit] are those of this rank; their sums are added to what the owners
// hold. Overwrites them. Stages 2 and 3.
void send_gradients(const ParameterRegistry&, i64 unit, Tensor gradients, ProcessGroup& world, Stream);

// ---- behind the passes, parameters that `reached` names: buckets whole, or not at all

// The gradients become their sum where this rank owns them, and zero elsewhere. Stage 1.
void sum_to_owners(const ParameterRegistry&, const Reached&, ProcessGroup& world, Stream);
// sum [1] (f64) = the squares of the gradients: each rank's share, in registration order, then the ranks in
// theirs. The same bits in every stage.
void sum_of_squared_gradients(Tensor sum, const ParameterRegistry&, const Reached&, ProcessGroup& world,
                              Stream);
// Every rank gets the weights that their owners have updated. Stages 1 and 2.
void gather_updated(const ParameterRegistry&, const Reached&, ProcessGroup& world, Stream);
// In mixed precision: the weights of all values, which were changed elsewhere than by the optimizer. `world`
// may be null where every rank holds all values.
void refresh_weights(const ParameterRegistry&, ProcessGroup* world, Stream);

// ---- whole parameters

// The values of one on every rank; where they are there already, not collective.
OwnedTensor whole_value(const ParameterRegistry&, ParameterId, ProcessGroup& world, Stream);
// all [trained elements] = the gradients of all, as every rank would hold them without a sharding.
void gather_gradients(Tensor all, const ParameterRegistry&, ProcessGroup& world, Stream);

// Lends whole values to rank 0, one by one, while it writes them: no rank has to hold more than one.
class WholeValues {
 public:
  WholeValues(const ParameterRegistry& parameters, ProcessGroup& world, Stream stream)
      : parameters_(parameters), world_(world), stream_(stream) {}

  // Runs `work` on rank 0; the others answer what it asks for until it has ended, also where it throws.
  void lend(const std::function<void()>& work);
  // On rank 0, within lend: in memory of the host, until the next call.
  Tensor operator()(ParameterId);

 private:
  OwnedTensor collect(ParameterId) const;
  void tell(ParameterId&) const;  // from rank 0 to all
  void forget();

  const ParameterRegistry& parameters_;
  ProcessGroup& world_;
  Stream stream_;
  OwnedTensor last_;
  ParameterId last_id_ = -1;
};

}  // namespace longsight::parallel
