// A job in which one rank fails while the others wait for it. Ends as launch/main does: whoever catches
// aborts the job.
#include <cstdio>
#include <string_view>

#include "parallel/groups/mpi_session.h"

using namespace longsight;

namespace {

void work(parallel::ProcessGroup& world, std::string_view where) {
  const int failing = world.size() - 1;
  if (where == "nowhere") return world.barrier({});
  if (where == "library") {  // ranks disagree on a count: the rank that sees it throws
    std::vector<i64> send(static_cast<std::size_t>(world.size()), 2);
    std::vector<i64> recv = send;
    if (world.rank() == failing) recv[0] = 3;
    std::vector<i64> from(static_cast<std::size_t>(world.size()) * 2), to(from.size() + 1);
    world.all_to_all_v(from.data(), send, to.data(), recv, DType::I64, {}, "uneven");
    return world.barrier({});
  }
  if (world.rank() == failing) fail(ExitCode::internal, "rank {} fails on purpose", failing);
  if (where == "barrier") return world.barrier({});
  i64 value = 1;
  world.recv(&value, 1, DType::I64, failing, {}, "never sent");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    parallel::MpiSession session(argc, argv);
    work(session.world(), argc > 1 ? argv[1] : "nowhere");
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    parallel::MpiSession::abort(static_cast<int>(error.code()));
  }
}
