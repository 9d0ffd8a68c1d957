// An exchange as calls from rank to rank, which a library runs as one group: of two ranks that exchange, the
// one's list has a send where the other's has a receive of as many bytes.
#pragma once

#include <vector>

#include "parallel/groups/process_group.h"

namespace longsight::parallel {

struct PeerCall {
  enum class Kind { send, receive, copy } kind = Kind::send;
  int peer = 0;
  const void* from = nullptr;  // send, copy
  void* to = nullptr;          // receive, copy
  i64 bytes = 0;               // more than none
};

// One block to and from each rank, as ProcessGroup's backends get them. The rank's own block is copied unless
// both are the same memory. Neighbours come first, so that the ranks do not all begin with rank 0.
std::vector<PeerCall> peer_calls(std::span<const Outgoing> send, std::span<const Incoming> recv, i64 width,
                                 int rank);

}  // namespace longsight::parallel
