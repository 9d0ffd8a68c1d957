// Exchanges as lists of calls: what the ranks would hand to a library as one group fits together, and does
// what the exchange says.
#include "parallel/groups/peer_calls.h"

#include <cstring>
#include <map>

#include <doctest/doctest.h>

#include "runtime/base/philox.h"
#include "tests/support/failure.h"

namespace longsight::parallel {
namespace {

// Of one rank: its blocks, in buffers of its own.
struct PeerBlocks {
  PeerBlocks(int rank, const std::vector<std::vector<i64>>& counts) {
    const auto me = static_cast<std::size_t>(rank);
    i64 sent = 0, received = 0;
    for (std::size_t r = 0; r < counts.size(); ++r) sent += counts[me][r], received += counts[r][me];
    from.resize(static_cast<std::size_t>(sent));
    to.assign(static_cast<std::size_t>(received), -1);
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<int>(1000 * me + i);
    i64 out = 0, in = 0;
    for (std::size_t r = 0; r < counts.size(); ++r) {
      send.push_back({from.data() + out, counts[me][r]});
      recv.push_back({to.data() + in, counts[r][me]});
      out += counts[me][r], in += counts[r][me];
    }
  }
  std::vector<int> from, to;
  std::vector<Outgoing> send;
  std::vector<Incoming> recv;
};

TEST_CASE("calls of all ranks have a receive for every send, of as many bytes, and move every block") {
  for (int ranks = 1; ranks <= 9; ++ranks) {
    const Philox random(7, "counts");
    std::vector<std::vector<i64>> counts(static_cast<std::size_t>(ranks));
    u64 drawn = 0;
    for (auto& of_rank : counts) {
      for (int r = 0; r < ranks; ++r)
        of_rank.push_back(std::max(0, static_cast<int>(6 * random.uniform(drawn++)) - 2));
    }
    std::vector<PeerBlocks> blocks;
    std::vector<std::vector<PeerCall>> calls;
    for (int r = 0; r < ranks; ++r) {
      blocks.emplace_back(r, counts);
      calls.push_back(peer_calls(blocks.back().send, blocks.back().recv, sizeof(int), r));
    }
    // As the library does: of each pair of ranks, the calls of both in their order.
    std::map<std::pair<int, int>, std::vector<PeerCall>> sends, receives;
    for (int r = 0; r < ranks; ++r) {
      for (const PeerCall& call : calls[static_cast<std::size_t>(r)]) {
        CHECK(call.bytes > 0);
        if (call.kind == PeerCall::Kind::send) sends[{r, call.peer}].push_back(call);
        if (call.kind == PeerCall::Kind::receive) receives[{call.peer, r}].push_back(call);
        if (call.kind == PeerCall::Kind::copy)
          std::memcpy(call.to, call.from, static_cast<std::size_t>(call.bytes));
      }
    }
    CHECK(sends.size() == receives.size());
    for (const auto& [pair, list] : sends) {
      REQUIRE(receives[pair].size() == list.size());
      for (std::size_t i = 0; i < list.size(); ++i) {
        CHECK(receives[pair][i].bytes == list[i].bytes);
        std::memcpy(receives[pair][i].to, list[i].from, static_cast<std::size_t>(list[i].bytes));
      }
    }
    for (int r = 0; r < ranks; ++r) {
      std::vector<int> expected;
      for (int s = 0; s < ranks; ++s) {
        const Outgoing& block = blocks[static_cast<std::size_t>(s)].send[static_cast<std::size_t>(r)];
        const int* const values = static_cast<const int*>(block.data);
        expected.insert(expected.end(), values, values + block.count);
      }
      CHECK(blocks[static_cast<std::size_t>(r)].to == expected);
    }
  }
}

TEST_CASE("a block that is where it shall be is not copied, and one of two sizes is refused") {
  int values[4] = {};
  const std::vector<Outgoing> send{{values, 2}, {values, 0}};
  const std::vector<Incoming> recv{{values, 2}, {values + 2, 0}};
  CHECK(peer_calls(send, recv, 4, 0).empty());
  const std::vector<Incoming> other{{values, 1}, {values + 2, 0}};
  CHECK(failure_of([&] { peer_calls(send, other, 4, 0); }).code == ExitCode::internal);
}

}  // namespace
}  // namespace longsight::parallel
