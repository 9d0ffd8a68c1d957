#include <doctest/doctest.h>

#include "parallel/groups/mesh.h"
#include "tests/support/rank_test.h"

using namespace longsight;
using namespace longsight::parallel;

TEST_CASE("every mesh has its sequence groups of neighbours and its data groups across them") {
  ProcessGroup& world = test_world();
  for (i64 degree = 1; degree <= world.size(); ++degree) {
    if (world.size() % degree != 0) continue;
    const Mesh mesh = make_mesh(world.size(), degree);
    MeshGroups groups(mesh, world);
    const i64 me = world.rank();
    REQUIRE(groups.sequence().size() == degree);
    REQUIRE(groups.data().size() == world.size() / degree);
    CHECK(groups.sequence().rank() == mesh.sequence_rank(me));
    CHECK(groups.data().rank() == mesh.data_rank(me));
    const std::vector<i64> neighbours = groups.sequence().all_gather(me, {});
    for (std::size_t i = 0; i < neighbours.size(); ++i)
      CHECK(neighbours[i] == me / degree * degree + static_cast<i64>(i));
    const std::vector<i64> across = groups.data().all_gather(me, {});
    for (std::size_t i = 0; i < across.size(); ++i)
      CHECK(across[i] == me % degree + static_cast<i64>(i) * degree);
    CHECK(groups.world().all_reduce_sum(i64{1}, {}) == world.size());
    groups.reset_counters();
    groups.sequence().barrier({});
    groups.data().barrier({});
    CHECK(groups.counters().calls == 2);
  }
}
