#include "runtime/tensor/shape.h"

#include <vector>

#include <doctest/doctest.h>

#include "tests/support/failure.h"

using namespace longsight;

TEST_CASE("a shape has extents, counted from the front or the back, and a number of elements") {
  const Shape shape{2, 3, 4};
  CHECK(shape.rank() == 3);
  CHECK(shape[0] == 2);
  CHECK(shape[-1] == 4);
  CHECK(shape[-3] == 2);
  CHECK(shape.elements() == 24);
  CHECK(shape.text() == "[2, 3, 4]");
  CHECK(Shape{}.elements() == 1);
  CHECK(Shape{}.text() == "[]");
  CHECK(Shape{3, 0, 5}.elements() == 0);
}

TEST_CASE("shapes are equal if all extents are") {
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK(!(Shape{2, 3} == Shape{3, 2}));
  CHECK(!(Shape{2} == Shape{2, 1}));
  CHECK(!(Shape{} == Shape{0}));
}

TEST_CASE("a wrong axis, extent, rank or product is an error") {
  CHECK(failure_of([] { (void)Shape{2, 3}[2]; }).code == ExitCode::internal);
  CHECK(failure_of([] { (void)Shape{2, 3}[-3]; }).code == ExitCode::internal);
  CHECK(failure_of([] { (void)Shape{}[0]; }).code == ExitCode::internal);
  CHECK(failure_of([] { (void)Shape{2, -1}; }).code == ExitCode::internal);
  CHECK(failure_of([] { (void)Shape(std::vector<i64>(6, 1)); }).code == ExitCode::internal);
  CHECK(Shape(std::vector<i64>(5, 2)).elements() == 32);
  CHECK(failure_of([] { (void)Shape{i64{1} << 32, i64{1} << 31}.elements(); }).code == ExitCode::internal);
}
