#include "runtime/tensor/frames.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/support/failure.h"

using namespace longsight;

TEST_CASE("frames come back last in, first out") {
  Frames frames;
  frames.push(1);
  frames.push(std::string("two"));
  frames.push(3);
  CHECK(frames.size() == 3);
  CHECK(frames.pop<int>() == 3);
  CHECK(frames.pop<std::string>() == "two");
  CHECK(frames.pop<int>() == 1);
  CHECK(frames.size() == 0);
}

TEST_CASE("popping another type than was pushed is an error, and so is popping nothing") {
  Frames frames;
  frames.push(1);
  CHECK(failure_of([&] { frames.pop<float>(); }).code == ExitCode::internal);
  CHECK(frames.size() == 1);  // the frame stays
  CHECK(frames.pop<int>() == 1);
  CHECK(failure_of([&] { frames.pop<int>(); }).code == ExitCode::internal);
}
