#include "parallel/groups/mesh.h"

#include "parallel/groups/trace_group.h"

namespace longsight::parallel {
namespace {

std::string divisors_of(i64 number) {
  std::string text;
  for (i64 d = 1; d <= number; ++d) {
    if (number % d == 0) text += fmt::format("{}{}", text.empty() ? "" : ", ", d);
  }
  return text;
}

}  // namespace

std::string Mesh::text() const {
  return fmt::format("{} rank{} = data {} x sequence {}", world, world == 1 ? "" : "s", data, sequence);
}

Mesh make_mesh(i64 world, i64 sequence) {
  check(world >= 1, "a mesh of {} ranks", world);
  require(sequence >= 1 && world % sequence == 0, ExitCode::usage,
          "parallel.sequence: {} does not divide {} rank{}; use one of {}", sequence, world,
          world == 1 ? "" : "s", divisors_of(world));
  return {world, sequence, world / sequence};
}

MeshGroups::MeshGroups(const Mesh& mesh, ProcessGroup& world) : mesh_(mesh), world_(&world) {
  check(mesh.world == world.size() && mesh.data * mesh.sequence == mesh.world,
        "a mesh of {} for a job of {} ranks", mesh.text(), world.size());
  const int sequence_rank = narrow<int>(mesh.sequence_rank(world.rank()));
  const int data_rank = narrow<int>(mesh.data_rank(world.rank()));
  sequence_ = world.split(data_rank, sequence_rank, "sequence");
  data_ = world.split(sequence_rank, data_rank, "data");
}

MeshGroups::MeshGroups(const Mesh& mesh, i64 rank) : mesh_(mesh) {
  const auto traced = [](i64 of, i64 ranks, const char* label) {
    return std::make_unique<TraceGroup>(narrow<int>(of), narrow<int>(ranks), label);
  };
  own_world_ = traced(rank, mesh.world, "world");
  world_ = own_world_.get();
  sequence_ = traced(mesh.sequence_rank(rank), mesh.sequence, "sequence");
  data_ = traced(mesh.data_rank(rank), mesh.data, "data");
}

CommunicationCounters MeshGroups::counters() const {
  CommunicationCounters total;
  for (const ProcessGroup* group : {world_, sequence_.get(), data_.get()}) total += group->counters();
  return total;
}

void MeshGroups::reset_counters() {
  for (ProcessGroup* group : {world_, sequence_.get(), data_.get()}) group->reset_counters();
}

}  // namespace longsight::parallel
