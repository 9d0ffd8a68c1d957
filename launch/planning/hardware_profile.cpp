#include "launch/planning/hardware_profile.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/yaml.h"

namespace longsight::planning {
namespace {

void check_rates(const YamlDocument& doc, const std::string& key, const std::vector<Rate>& rates) {
  doc.require_at(!rates.empty(), key, "missing: rates by size of a call, [{{rate: 6e10}}]");
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const std::string where = fmt::format("{}.{}", key, i);
    doc.require_at(rates[i].rate > 0, where, "the rate {} must be positive", rates[i].rate);
    doc.require_at(rates[i].size >= 0, where, "the size {} is negative", rates[i].size);
    doc.require_at(i == 0 || rates[i - 1].size < rates[i].size, where, "the sizes {} and {} do not ascend",
                   rates[i - (i > 0)].size, rates[i].size);
  }
}

void check_link(const YamlDocument& doc, const std::string& key, const std::optional<Link>& link) {
  if (!link) return;
  doc.require_at(link->bandwidth > 0, key, "the bandwidth {} must be positive", link->bandwidth);
  doc.require_at(link->latency >= 0, key, "the latency {} is negative", link->latency);
}

HardwareProfile nothing_known() {
  return {.name = "", .origin = "", .source = "", .gemm = {}, .attention = {}, .copy = {}, .link = {}};
}

}  // namespace

double seconds_of(double work, const std::vector<Rate>& rates) {
  const auto next = std::find_if(rates.begin(), rates.end(), [&](const Rate& r) { return r.size >= work; });
  if (next == rates.begin()) return work / next->rate;
  if (next == rates.end()) return work / rates.back().rate;
  const Rate& before = *std::prev(next);
  if (before.size == 0) return work / next->rate;
  const double way = std::log(work / before.size) / std::log(next->size / before.size);
  return work / (before.rate * std::pow(next->rate / before.rate, way));
}

HardwareProfile HardwareProfile::computing_in(const Precision& precision) const {
  HardwareProfile profile = *this;
  if (precision.activations != DType::BF16) return profile;
  if (!gemm_bf16.empty()) profile.gemm = gemm_bf16;
  if (!attention_bf16.empty()) profile.attention = attention_bf16;
  return profile;
}

std::string HardwareProfile::text() const {
  return fmt::format("{} ({}: {})", name, origin == "published" ? "published, not measured here" : origin,
                     source);
}

HardwareProfile read_hardware(const std::string& path) {
  HardwareProfile profile = nothing_known();
  const YamlDocument doc = YamlDocument::read_file(path);
  read_fields(doc, profile);
  doc.require_at(!profile.name.empty(), "name", "missing: what is described");
  doc.require_at(!profile.source.empty(), "source", "missing: where the figures are from");
  doc.require_one_of("origin", profile.origin, {"measured", "published"});
  doc.require_at(profile.ranks_per_node >= 0, "ranks_per_node", "{} is negative", profile.ranks_per_node);
  doc.require_at(profile.memory >= 0, "memory", "{} bytes are negative", profile.memory);
  check_rates(doc, "gemm", profile.gemm);
  check_rates(doc, "attention", profile.attention);
  if (!profile.gemm_bf16.empty()) check_rates(doc, "gemm_bf16", profile.gemm_bf16);
  if (!profile.attention_bf16.empty()) check_rates(doc, "attention_bf16", profile.attention_bf16);
  check_rates(doc, "copy", profile.copy);
  check_link(doc, "link", profile.link);
  check_link(doc, "network", profile.network);
  doc.require_at(!profile.network || profile.ranks_per_node > 0, "network",
                 "say how many ranks a node has: ranks_per_node");
  return profile;
}

void require_complete(const HardwareProfile& h, i64 ranks) {
  require(ranks == 1 || h.ranks_per_node == 1 || h.link, ExitCode::usage,
          "hardware profile \"{}\" has no link between ranks, for a plan of {}: measure it under mpirun, "
          "longsight bench --calibrate",
          h.name, ranks);
  require(h.ranks_per_node == 0 || ranks <= h.ranks_per_node || h.network, ExitCode::usage,
          "hardware profile \"{}\" has no network between nodes, for a plan of {} ranks with {} on a node: "
          "measure it under mpirun on several nodes, longsight bench --calibrate, or write it there",
          h.name, ranks, h.ranks_per_node);
}

}  // namespace longsight::planning
