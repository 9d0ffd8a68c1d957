// What lies between the ranks.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <set>

#include <sys/uio.h>
#include <unistd.h>

#include "launch/doctor/checks.h"
#include "launch/doctor/sizes.h"
#include "launch/measure.h"
#include "parallel/groups/mpi_session.h"
#include "runtime/base/clock.h"

namespace longsight::launch::doctor {
namespace {

constexpr const char* kLabel = "doctor";

// Of a rank to the next one; seconds and bytes a second.
struct Link {
  double latency = 0, bandwidth = 0;
};

// Half of the way there and back, the median of several.
double one_way(parallel::ProcessGroup& world, int peer, bool first, std::vector<std::byte>& data, i64 bytes,
               int rounds, Stream stream) {
  std::vector<double> seconds;
  for (int i = -1; i < rounds; ++i) {
    const double start = steady_seconds();
    if (first) world.send(data.data(), bytes, DType::U8, peer, stream, kLabel);
    world.recv(data.data(), bytes, DType::U8, peer, stream, kLabel);
    if (!first) world.send(data.data(), bytes, DType::U8, peer, stream, kLabel);
    if (i >= 0) seconds.push_back((steady_seconds() - start) / 2);
  }
  return median(seconds);
}

Link measure(parallel::ProcessGroup& world, int peer, bool first, Stream stream) {
  constexpr i64 kSmall = 8, kLarge = 4 * kMiB;
  std::vector<std::byte> data(static_cast<std::size_t>(kLarge));
  const double latency = one_way(world, peer, first, data, kSmall, 30, stream);
  return {latency, static_cast<double>(kLarge) / one_way(world, peer, first, data, kLarge, 4, stream)};
}

// Each rank with the one behind it, around the ring: pairs that begin at even ranks, then those at odd ones,
// then the last of an odd number.
Link link_to_next(parallel::ProcessGroup& world, Stream stream) {
  const int n = world.size(), rank = world.rank();
  Link own;
  for (int phase = 0; phase < 3; ++phase) {
    const auto phase_of = [&](int r) { return n % 2 == 1 && r == n - 1 ? 2 : r % 2; };
    const int before = (rank + n - 1) % n;
    if (phase_of(rank) == phase && !(n == 2 && rank == 1))
      own = measure(world, (rank + 1) % n, true, stream);
    else if (phase_of(before) == phase && !(n == 2 && before == 1))
      measure(world, before, false, stream);
    world.barrier(stream, kLabel);
  }
  return own;
}

// Bytes a second that a rank sends while all send to all.
double all_to_all(parallel::ProcessGroup& world, Stream stream) {
  const i64 n = world.size(), each = std::max<i64>(1, std::min(kMiB, 64 * kMiB / n));
  const OwnedTensor sent(DType::U8, {n * each}), received(DType::U8, {n * each});
  const std::vector<i64> counts(static_cast<std::size_t>(n), each);
  std::vector<double> seconds;
  for (int i = -1; i < 5; ++i) {
    world.barrier(stream, kLabel);
    const double start = steady_seconds();
    world.all_to_all_v(sent, counts, received, counts, stream, kLabel);
    const double slowest = world.all_reduce_max(steady_seconds() - start, stream, kLabel);
    if (i >= 0) seconds.push_back(slowest);
  }
  return static_cast<double>((n - 1) * each) / median(seconds);
}

double wall_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Seconds that this rank's clock is ahead of rank 0's, as well as the way there and back lets it be known.
double clock_ahead(parallel::ProcessGroup& world, Stream stream) {
  constexpr int kRounds = 5;
  std::vector<double> ahead(static_cast<std::size_t>(world.size()), 0);
  for (int other = 1; other < world.size(); ++other) {
    if (world.rank() != 0 && world.rank() != other) continue;
    double best = 1e9;
    for (int i = 0; i < kRounds; ++i) {
      double theirs = 0;
      if (world.rank() == other) {
        world.recv(&theirs, 1, DType::F64, 0, stream, kLabel);
        theirs = wall_clock();
        world.send(&theirs, 1, DType::F64, 0, stream, kLabel);
        continue;
      }
      const double start = wall_clock();
      world.send(&theirs, 1, DType::F64, other, stream, kLabel);
      world.recv(&theirs, 1, DType::F64, other, stream, kLabel);
      const double end = wall_clock();
      if (end - start >= best) continue;
      best = end - start;
      ahead[static_cast<std::size_t>(other)] = theirs - (start + end) / 2;
    }
  }
  world.broadcast(ahead.data(), static_cast<i64>(ahead.size()), DType::F64, 0, stream, kLabel);
  return ahead[static_cast<std::size_t>(world.rank())];
}

std::string link_text(const Link& l) {
  return fmt::format("{:.0f} us, {:.2f} GB/s", l.latency * 1e6, l.bandwidth / 1e9);
}

}  // namespace

Finding check_direct_copies(parallel::ProcessGroup& node, Stream stream) {
  struct Place {
    i64 pid = 0;
    u64 address = 0;
  };
  Finding finding{.name = "direct copies",
                  .text = "a rank may read the memory of its neighbours on the node (process_vm_readv)"};
  const u64 mark = 0x6c6f6e6773696768ULL + static_cast<u64>(node.rank());
  const std::vector<Place> all =
      node.all_gather(Place{::getpid(), reinterpret_cast<u64>(&mark)}, stream, kLabel);
  const int next = (node.rank() + 1) % node.size();
  const Place& there = all[static_cast<std::size_t>(next)];
  u64 read = 0;
  const iovec local{&read, sizeof(read)},
      remote{reinterpret_cast<void*>(there.address), sizeof(read)};  // NOLINT: an address of another process
  const ssize_t got = ::process_vm_readv(static_cast<pid_t>(there.pid), &local, 1, &remote, 1, 0);
  const int error = errno;
  node.barrier(stream, kLabel);  // the mark stays until all have read
  if (got == static_cast<ssize_t>(sizeof(read))) return finding;
  finding.verdict = Verdict::note;
  finding.text =
      fmt::format("a rank may not read the memory of its neighbours on the node (process_vm_readv: {})",
                  std::strerror(error));
  finding.remedy =
      "Open MPI copies large messages twice then, and may say \"Read -1\": OMPI_MCA_btl_vader_single_copy_"
      "mechanism=none, or allow it: docker --cap-add=SYS_PTRACE, sysctl kernel.yama.ptrace_scope=0";
  return finding;
}

Finding check_ranks(parallel::ProcessGroup& world, bool launched, Stream stream) {
  const parallel::MpiFacts mpi = parallel::mpi_facts();
  std::set<std::string> hosts;
  for (const std::string& host : world.all_gather(host_name(), stream, kLabel)) hosts.insert(host);
  Finding finding{.name = "ranks"};
  finding.text =
      fmt::format("{} on {} node{}, {}, threads {}", world.size(), hosts.size(), hosts.size() == 1 ? "" : "s",
                  mpi.running, mpi.threads.empty() ? "as one process has them" : mpi.threads);
  if (launched) return finding;
  finding.verdict = Verdict::note;
  finding.text = fmt::format("1, started by hand; {} is there", mpi.running);
  finding.remedy = "what is between ranks is looked at under a launcher: mpirun -n 2 longsight doctor";
  return finding;
}

Findings check_links(parallel::ProcessGroup& world, Stream stream) {
  if (world.size() == 1) return {};
  constexpr double kMuchSlower = 4;
  std::vector<Link> links = world.all_gather(link_to_next(world, stream), stream, kLabel);
  if (world.size() == 2) links.pop_back();
  std::vector<double> latencies, bandwidths;
  for (const Link& l : links) latencies.push_back(l.latency), bandwidths.push_back(l.bandwidth);
  const Link typical{median(latencies), median(bandwidths)};
  Findings findings{
      {.name = "neighbours", .text = fmt::format("from a rank to the next: {}", link_text(typical))}};
  for (std::size_t r = 0; r < links.size(); ++r) {
    if (links[r].bandwidth * kMuchSlower >= typical.bandwidth &&
        links[r].latency <= kMuchSlower * typical.latency)
      continue;
    findings.push_back(
        {Verdict::note, "neighbours",
         fmt::format("from rank {} to {}: {}, much slower than the others", r, (r + 1) % links.size(),
                     link_text(links[r])),
         "where the two are on different nodes that is the network; else look for other work on their node"});
  }
  findings.push_back({.name = "all to all",
                      .text = fmt::format("{:.2f} GB/s leave each rank", all_to_all(world, stream) / 1e9)});

  constexpr double kFarAhead = 1;
  const std::vector<double> ahead = world.all_gather(clock_ahead(world, stream), stream, kLabel);
  const auto [least, most] = std::minmax_element(ahead.begin(), ahead.end());
  Finding clocks{.name = "clocks", .text = "the ranks' clocks agree"};
  if (*most - *least > kFarAhead) {
    clocks = {Verdict::note, clocks.name,
              fmt::format("rank {}'s clock is {:.1f} s ahead of rank {}'s", most - ahead.begin(),
                          *most - *least, least - ahead.begin()),
              "times in logs cannot be compared: run an NTP client (chrony) on every node"};
  }
  findings.push_back(clocks);
  return findings;
}

}  // namespace longsight::launch::doctor
