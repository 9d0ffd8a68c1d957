// Processors and threads of the ranks of a node.
#include <algorithm>
#include <cstdlib>

#include <omp.h>

#include "launch/doctor/checks.h"
#include "launch/doctor/ranges.h"

namespace longsight::launch::doctor {
namespace {

using Mask = decltype(ProcessorLimits::mask);

std::vector<i64> processors_in(const Mask& mask) {
  std::vector<i64> processors;
  for (std::size_t i = 0; i < mask.size() * 64; ++i) {
    if ((mask[i / 64] >> (i % 64) & 1) != 0) processors.push_back(static_cast<i64>(i));
  }
  return processors;
}

const char* plural(i64 n) {
  return n == 1 ? "" : "s";
}

}  // namespace

Finding judge_processors(std::span<const RankProcessors> node, int rank, const Binding& binding) {
  const RankProcessors& own = node[static_cast<std::size_t>(rank)];
  Mask all{};
  std::vector<ProcessorLimits> limits;
  i64 threads = 0;
  for (const RankProcessors& r : node) {
    limits.push_back(r.limits);
    threads += r.threads;
    for (std::size_t i = 0; i < all.size(); ++i) all[i] |= r.limits.mask[i];
  }
  const auto processors = std::ssize(processors_in(all));
  const ProcessorShare share = processor_share(limits, rank);
  Finding finding{.name = "processors"};
  finding.text = fmt::format("{} thread{} on processor{} {}", own.threads, plural(own.threads),
                             plural(share.processors), ranges_text(processors_in(own.limits.mask)));
  if (share.ranks > 1) finding.text += fmt::format(", which {} ranks have", share.ranks);
  if (share.quota > 0) finding.text += fmt::format("; a quota of {:.3g} processors", share.quota);
  const bool quota_exceeded = share.quota > 0 && static_cast<double>(own.threads) > share.quota + 1;
  if (own.threads > share.processors || quota_exceeded) {
    finding.verdict = Verdict::wrong;
    finding.remedy =
        "its threads wait for each other's processors: unset OMP_NUM_THREADS, or start mpirun with "
        "--bind-to none (launch/run.sh binds as it should be)";
  } else if (!binding.places.empty() && share.ranks > 1) {
    finding.verdict = Verdict::wrong;
    finding.text += fmt::format("; {}", binding.places);
    finding.remedy = fmt::format(
        "each rank binds its first thread to the same processor: unset it, or give each rank processors of "
        "its own (mpirun --map-by slot:PE={} --bind-to core)",
        std::max<i64>(1, share.threads));
  } else if (threads > processors) {
    finding.verdict = Verdict::note;
    finding.remedy = fmt::format(
        "{} threads of {} rank{} share {} processor{} of this node: right, but no faster than fewer ranks",
        threads, node.size(), plural(static_cast<i64>(node.size())), processors, plural(processors));
  } else if (share.ranks == 1 && own.threads < share.processors) {
    finding.verdict = Verdict::note;
    finding.remedy = fmt::format("{} of its processors have nothing to do: unset OMP_NUM_THREADS",
                                 share.processors - own.threads);
  }
  return finding;
}

Finding check_processors(parallel::ProcessGroup& node, Stream stream) {
  const RankProcessors own{.limits = processor_limits(), .threads = omp_get_max_threads()};
  const std::vector<RankProcessors> all = node.all_gather(own, stream, "processors");
  Binding binding;
  for (const char* variable : {"OMP_PROC_BIND", "OMP_PLACES"}) {
    const char* const value = std::getenv(variable);
    if (value == nullptr || *value == '\0' || std::string_view(value) == "false") continue;
    binding.places += fmt::format("{}{}={}", binding.places.empty() ? "" : ", ", variable, value);
  }
  return judge_processors(all, node.rank(), binding);
}

}  // namespace longsight::launch::doctor
