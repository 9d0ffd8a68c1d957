#include "runtime/tensor/arena.h"

#include <algorithm>
#include <cstdint>

#include <doctest/doctest.h>

#include "tests/support/failure.h"

using namespace longsight;

namespace {

Tensor bytes(Arena& arena, i64 count, const char* label = "x") {
  return arena.take(DType::U8, {count}, label);
}

}  // namespace

TEST_CASE("tensors of an arena are aligned and do not overlap") {
  Arena arena("test");
  std::vector<Tensor> taken;
  for (const i64 count : {1, 64, 65, 0, 1000}) {
    Tensor x = bytes(arena, count);
    CHECK(x.elements() == count);
    CHECK(reinterpret_cast<std::uintptr_t>(x.data()) % 64 == 0);
    std::fill_n(x.host<std::uint8_t>(), count, static_cast<std::uint8_t>(taken.size() + 1));
    taken.push_back(x);
  }
  for (std::size_t i = 0; i < taken.size(); ++i) {
    const auto* x = taken[i].host<std::uint8_t>();
    CHECK(std::all_of(x, x + taken[i].elements(), [&](std::uint8_t value) { return value == i + 1; }));
  }
  CHECK(arena.used() == 64 + 64 + 128 + 0 + 1024);
}

TEST_CASE("rewinding frees what was taken since the mark, and the memory is used again") {
  Arena arena("test");
  Tensor kept = bytes(arena, 100);
  const Arena::Mark mark = arena.mark();
  Tensor first = bytes(arena, 1000);
  bytes(arena, 50);
  arena.rewind(mark);
  CHECK(arena.used() == 128);
  Tensor second = bytes(arena, 10);
  CHECK(second.data() == first.data());
  CHECK(second.data() != kept.data());
}

TEST_CASE("marks nest, and a scope rewinds at its end") {
  Arena arena("test");
  bytes(arena, 64);
  {
    const ArenaScope outer(arena);
    bytes(arena, 64);
    {
      const ArenaScope inner(arena);
      bytes(arena, 640);
      CHECK(arena.used() == 768);
    }
    CHECK(arena.used() == 128);
  }
  CHECK(arena.used() == 64);
}

TEST_CASE("a mark behind what is in use is an error") {
  Arena arena("test");
  const Arena::Mark empty = arena.mark();
  bytes(arena, 64);
  const Arena::Mark full = arena.mark();
  arena.rewind(empty);
  CHECK(failure_of([&] { arena.rewind(full); }).code == ExitCode::internal);
}

TEST_CASE("the high-water mark is the most in use at once, and can be set back") {
  Arena arena("test");
  const Arena::Mark empty = arena.mark();
  bytes(arena, 640);
  arena.rewind(empty);
  bytes(arena, 320);
  bytes(arena, 64);
  CHECK(arena.high_water() == 640);
  CHECK(arena.used() == 384);
  arena.reset_high_water();
  CHECK(arena.high_water() == 384);
  bytes(arena, 64);
  CHECK(arena.high_water() == 448);
}

TEST_CASE("the table lists what was in use at the high-water mark, by label, largest first") {
  Arena arena("activations");
  const Arena::Mark empty = arena.mark();
  bytes(arena, 1 << 20, "small");
  const Arena::Mark one = arena.mark();
  bytes(arena, 2 << 20, "twice");
  bytes(arena, 3 << 20, "twice");
  arena.rewind(one);
  bytes(arena, 4 << 20, "later");  // below the peak
  arena.rewind(empty);
  CHECK(arena.table() ==
        "activations: 6.0 MiB at its high-water mark\n"
        "         5.0 MiB  twice\n"
        "         1.0 MiB  small\n");
}

TEST_CASE("an arena grows by blocks and a rewind spans them") {
  Arena arena("test");
  const Arena::Mark empty = arena.mark();
  constexpr i64 kHuge = i64{70} << 20;  // larger than a block
  Tensor a = bytes(arena, 100), b = bytes(arena, kHuge), c = bytes(arena, 100);
  a.host<std::uint8_t>()[0] = 1;
  b.host<std::uint8_t>()[kHuge - 1] = 2;
  c.host<std::uint8_t>()[0] = 3;
  CHECK(a.host<std::uint8_t>()[0] == 1);
  CHECK(b.host<std::uint8_t>()[kHuge - 1] == 2);
  const i64 used = arena.used();
  {
    const ArenaScope scope(arena);
    bytes(arena, kHuge);
  }
  CHECK(arena.used() == used);
  arena.rewind(empty);
  CHECK(arena.used() == 0);
  CHECK(bytes(arena, 100).data() == a.data());
  CHECK(bytes(arena, kHuge).data() == b.data());
  CHECK(bytes(arena, 100).data() == c.data());
}
