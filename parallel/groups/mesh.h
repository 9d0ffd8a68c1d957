// The ranks of a job as data groups x sequence groups. The ranks of a sequence group are neighbours, so they
// share fast links: rank = data_rank * sequence + sequence_rank.
#pragma once

#include <memory>
#include <string>

#include "parallel/groups/process_group.h"

namespace longsight::parallel {

struct Mesh {
  i64 world = 1;     // ranks
  i64 sequence = 1;  // ranks that share one micro-batch
  i64 data = 1;      // groups of them

  i64 sequence_rank(i64 rank) const { return rank % sequence; }
  i64 data_rank(i64 rank) const { return rank / sequence; }
  i64 rank_of(i64 data_rank, i64 sequence_rank) const { return data_rank * sequence + sequence_rank; }
  std::string text() const;  // "8 ranks = data 2 x sequence 4"

  friend bool operator==(const Mesh&, const Mesh&) = default;
};

// Throws usage where `sequence` does not divide `world`, naming the degrees that do.
Mesh make_mesh(i64 world, i64 sequence);

// The groups of a mesh that this rank is in.
class MeshGroups {
 public:
  // Collective over `world`, which is borrowed and outlives the groups.
  MeshGroups(const Mesh& mesh, ProcessGroup& world);
  // Of one rank in a trace.
  MeshGroups(const Mesh& mesh, i64 rank);

  const Mesh& mesh() const { return mesh_; }
  ProcessGroup& world() const { return *world_; }
  ProcessGroup& sequence() const { return *sequence_; }  // works on one micro-batch
  ProcessGroup& data() const { return *data_; }          // same sequence rank, other micro-batches

  CommunicationCounters counters() const;  // of the three together
  void reset_counters();

 private:
  Mesh mesh_;
  std::unique_ptr<ProcessGroup> own_world_;
  ProcessGroup* world_;
  std::unique_ptr<ProcessGroup> sequence_;
  std::unique_ptr<ProcessGroup> data_;
};

}  // namespace longsight::parallel
