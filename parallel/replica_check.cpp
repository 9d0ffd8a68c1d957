#include "parallel/replica_check.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "parallel/groups/exchange.h"
#include "runtime/ops/hash.h"
#include "runtime/tensor/host_values.h"

namespace longsight::parallel {
namespace {

using Hash = std::array<i64, 2>;
constexpr const char* kReplicaCheck = "replica check";

// Ranks whose hash is not the most frequent one; of equally frequent ones that of the lowest rank counts.
std::vector<int> deviating_ranks(const std::vector<i64>& halves) {
  std::vector<Hash> hashes;
  for (std::size_t i = 0; i < halves.size(); i += 2) hashes.push_back({halves[i], halves[i + 1]});
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

std::vector<int> deviating_ranks(Tensor of_ranks, Stream stream) {
  return deviating_ranks(read_values<i64>(of_ranks, stream));
}

void require_same(const std::vector<int>& deviating, const std::string& name, const ProcessGroup& group) {
  if (deviating.empty()) return;
  fail(ExitCode::internal,
       "{} is not the same on all ranks of group {}: rank{} {} of {} differ{} from the others", name,
       group.label(), deviating.size() == 1 ? "" : "s", fmt::join(deviating, ", "), group.size(),
       deviating.size() == 1 ? "s" : "");
}

}  // namespace

void check_replica(Tensor values, const std::string& name, ProcessGroup& group, Stream stream) {
  const OwnedTensor hashes(DType::I64, {group.size(), 2}, "hashes", group.place());
  hash_replicas(hashes, values, group, stream);
  require_same(deviating_ranks(hashes, stream), name, group);
}

void hash_replicas(Tensor hashes, Tensor values, ProcessGroup& group, Stream stream) {
  const Tensor own = hashes.row_range(group.rank(), 1);
  ops::hash(own, values, stream);
  const std::vector<i64> halves(static_cast<std::size_t>(group.size()), 2);
  all_gather(kReplicaCheck, halves).run(own, hashes, group, stream);
}

bool replicas_differ(Tensor hashes, Stream stream) {
  return !deviating_ranks(hashes, stream).empty();
}

void require_same_hashes(Tensor hashes, const ProcessGroup& group, Stream stream) {
  require_same(deviating_ranks(hashes, stream), "the model", group);
}

namespace {

// Of values that are dealt each rank has kept its share: they are the same model if all were given the same.
void check_given(const ParameterRegistry& parameters, ProcessGroup& group, Stream stream) {
  std::vector<i64> own;
  for (ParameterId id = 0; id < parameters.size(); ++id)
    own.push_back(static_cast<i64>(parameters.hash_as_given(id)));
  const std::vector<i64> counts(static_cast<std::size_t>(group.size()), std::ssize(own));
  std::vector<i64> all(own.size() * counts.size());
  group.control().all_gather_v(own.data(), all.data(), counts, DType::I64,
                               &group.control() == &group ? stream : Stream{}, kReplicaCheck);
  for (std::size_t i = 0; i < own.size(); ++i) {
    std::vector<i64> of_ranks;
    for (std::size_t r = 0; r < counts.size(); ++r)
      of_ranks.insert(of_ranks.end(), {all[r * own.size() + i], 0});
    require_same(deviating_ranks(of_ranks), "parameter " + parameters[static_cast<i64>(i)].name, group);
  }
}

}  // namespace

void check_replicas(const ParameterRegistry& parameters, ProcessGroup& group, Stream stream) {
  if (parameters.values_dealt()) check_given(parameters, group, stream);
  if (parameters.sharding().values()) return;
  // All ranks see the same hashes, so they look for the parameter together or not at all.
  const OwnedTensor hashes(DType::I64, {group.size(), 2}, "hashes", group.place());
  hash_replicas(hashes, parameters.replicated(), group, stream);
  if (!replicas_differ(hashes, stream)) return;
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    const std::string name = "parameter " + parameters[id].name;
    if (parameters.precision().mixed() && !parameters.values_dealt())
      check_replica(parameters.value(id), name, group, stream);
    check_replica(parameters.weight(id), name, group, stream);  // without a master, the value
  }
  check(false, "the values of group {} differ between ranks, but no parameter does", group.label());
}

}  // namespace longsight::parallel
