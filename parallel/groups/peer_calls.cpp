#include "parallel/groups/peer_calls.h"

namespace longsight::parallel {

std::vector<PeerCall> peer_calls(std::span<const Outgoing> send, std::span<const Incoming> recv, i64 width,
                                 int rank) {
  const int ranks = narrow<int>(std::ssize(send));
  check(send.size() == recv.size() && rank >= 0 && rank < ranks, "{} and {} blocks of rank {}", send.size(),
        recv.size(), rank);
  std::vector<PeerCall> calls;
  for (int step = 0; step < ranks; ++step) {
    const int to = (rank + step) % ranks, from = (rank - step + ranks) % ranks;
    const Outgoing& out = send[static_cast<std::size_t>(to)];
    const Incoming& in = recv[static_cast<std::size_t>(from)];
    if (step == 0) {
      check(out.count == in.count, "rank {} sends {} elements to itself and expects {}", rank, out.count,
            in.count);
      if (out.count > 0 && out.data != in.data)
        calls.push_back({PeerCall::Kind::copy, rank, out.data, in.data, out.count * width});
      continue;
    }
    if (out.count > 0) calls.push_back({PeerCall::Kind::send, to, out.data, nullptr, out.count * width});
    if (in.count > 0) calls.push_back({PeerCall::Kind::receive, from, nullptr, in.data, in.count * width});
  }
  return calls;
}

}  // namespace longsight::parallel
