#include "parallel/groups/mesh.h"

#include <doctest/doctest.h>

using namespace longsight;
using namespace longsight::parallel;

TEST_CASE("the sequence ranks of a data group are neighbours") {
  const Mesh mesh = make_mesh(12, 3);
  CHECK(mesh.data == 4);
  for (i64 rank = 0; rank < 12; ++rank) {
    CHECK(mesh.data_rank(rank) == rank / 3);
    CHECK(mesh.sequence_rank(rank) == rank % 3);
    CHECK(mesh.rank_of(mesh.data_rank(rank), mesh.sequence_rank(rank)) == rank);
  }
  CHECK(mesh.text() == "12 ranks = data 4 x sequence 3");
}

TEST_CASE("a sequence degree that does not divide the ranks is a usage error that lists those that do") {
  const auto code_of = [](i64 world, i64 sequence) {
    try {
      make_mesh(world, sequence);
    } catch (const Error& error) {
      return error.code();
    }
    return ExitCode::done;
  };
  CHECK_THROWS_WITH(make_mesh(4, 3), "parallel.sequence: 3 does not divide 4 ranks; use one of 1, 2, 4");
  CHECK_THROWS_WITH(make_mesh(1, 2), "parallel.sequence: 2 does not divide 1 rank; use one of 1");
  CHECK(code_of(4, 3) == ExitCode::usage);
  CHECK(code_of(4, 0) == ExitCode::usage);
  CHECK(code_of(4, -2) == ExitCode::usage);
  CHECK(code_of(6, 6) == ExitCode::done);
}
