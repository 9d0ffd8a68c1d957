#include "parallel/replica_check.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>
#include <xxhash.h>

namespace longsight::parallel {
namespace {

using Hash = std::array<u64, 2>;
constexpr const char* kReplicaCheck = "replica check";

std::vector<Hash> hashes_of(Tensor values, ProcessGroup& group, Stream stream) {
  const XXH128_hash_t hash = XXH3_128bits(values.data(), static_cast<std::size_t>(values.bytes()));
  return group.all_gather(Hash{hash.low64, hash.high64}, stream, kReplicaCheck);
}

// Ranks whose hash is not the most frequent one; of equally frequent ones that of the lowest rank counts.
std::vector<int> deviating_ranks(const std::vector<Hash>& hashes) {
  const Hash* usual = &hashes[0];
  std::ptrdiff_t most = 0;
  for (const Hash& hash : hashes) {
    const std::ptrdiff_t votes = std::count(hashes.begin(), hashes.end(), hash);
    if (votes > most) {
      most = votes;
      usual = &hash;
    }
  }
  std::vector<int> ranks;
  for (std::size_t r = 0; r < hashes.size(); ++r) {
    if (hashes[r] != *usual) ranks.push_back(static_cast<int>(r));
  }
  return ranks;
}

}  // namespace

void check_replica(Tensor values, const std::string& name, ProcessGroup& group, Stream stream) {
  const std::vector<int> ranks = deviating_ranks(hashes_of(values, group, stream));
  if (ranks.empty()) return;
  fail(ExitCode::internal,
       "{} is not the same on all ranks of group {}: rank{} {} of {} differ{} from the others", name,
       group.label(), ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "), group.size(),
       ranks.size() == 1 ? "s" : "");
}

bool replicas_differ(const ParameterRegistry& parameters, ProcessGroup& group, Stream stream) {
  return !deviating_ranks(hashes_of(parameters.values(), group, stream)).empty();
}

void check_replicas(const ParameterRegistry& parameters, ProcessGroup& group, Stream stream) {
  // All ranks see the same hashes, so they look for the parameter together or not at all.
  if (!replicas_differ(parameters, group, stream)) return;
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    check_replica(parameters.value(id), "parameter " + parameters[id].name, group, stream);
  }
  check(false, "the values of group {} differ between ranks, but no parameter does", group.label());
}

void add_replica_check(Schedule& schedule, const std::string& group) {
  schedule.add({.operation = Operation::values,
                .label = kReplicaCheck,
                .group = group,
                .dtype = DType::U8,
                .count = static_cast<i64>(sizeof(Hash))});
}

}  // namespace longsight::parallel
