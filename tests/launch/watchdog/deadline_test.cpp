#include "launch/watchdog/deadline.h"

#include <doctest/doctest.h>

using namespace longsight;
using namespace longsight::launch;

TEST_CASE("the deadline is generous before five steps were seen, and five times the slowest ones then") {
  Deadline deadline(10);
  CHECK(deadline.seconds() == 60);
  for (int i = 0; i < 4; ++i) deadline.saw_step(3);
  CHECK(deadline.seconds() == 60);
  deadline.saw_step(3);
  CHECK(deadline.seconds() == 15);
}

TEST_CASE("the deadline is never under its floor") {
  Deadline deadline(10);
  for (int i = 0; i < 100; ++i) deadline.saw_step(0.01);
  CHECK(deadline.seconds() == 10);
}

TEST_CASE("the deadline follows the 99th percentile of the last 1,024 steps") {
  Deadline deadline(1);
  for (int i = 1; i <= 100; ++i) deadline.saw_step(i);
  CHECK(deadline.seconds() == 5 * 99);
  // One step in two hundred that takes very long says nothing of the others.
  Deadline rarely(1);
  for (int i = 0; i < 1024; ++i) rarely.saw_step(i % 200 == 0 ? 1000 : 2);
  CHECK(rarely.seconds() == 10);
  // What was seen long ago is forgotten.
  for (int i = 0; i < 1024; ++i) deadline.saw_step(2);
  CHECK(deadline.seconds() == 10);
}
