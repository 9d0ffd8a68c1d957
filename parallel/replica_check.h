// Replicated parameters must have the same bits on every rank; a flipped bit or a rank that missed an update
// shows here.
#pragma once

#include "parallel/groups/process_group.h"
#include "runtime/tensor/parameters.h"

namespace longsight::parallel {

// Collective over `group`: compares a hash (XXH3-128) of all values. Where they differ every rank throws
// internal, naming the first parameter that differs and the ranks that differ from the majority (from the
// lowest rank where there is none). Of values that are dealt over the ranks there are no replicas: compared
// is what the ranks were given, to keep their shares of it.
void check_replicas(const ParameterRegistry& parameters, ProcessGroup& group, Stream stream);

// Its first collective alone, which may be queued: hashes [ranks, 2] (i64) of each rank's values. Collective.
void hash_replicas(Tensor hashes, Tensor values, ProcessGroup& group, Stream stream);
// Whether they differ, when they are there. The same answer on every rank.
bool replicas_differ(Tensor hashes, Stream stream);
// internal where they do, with the ranks: of values that are others by now.
void require_same_hashes(Tensor hashes, const ProcessGroup& group, Stream stream);

// The same for one tensor; `name` is for the message.
void check_replica(Tensor values, const std::string& name, ProcessGroup& group, Stream stream);

}  // namespace longsight::parallel
