#include "runtime/ops/rows.h"

#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

IndexList list(std::vector<i64> values, i64 limit) {
  return {std::move(values), limit, "rows"};
}

}  // namespace

TEST_CASE("gather takes rows by index, scatter puts them there, and neither touches anything else") {
  GuardedMatrix x(DType::F32, 5, 7), y(DType::F32, 4, 7, 2);
  x.randomise("x");
  const std::vector<i64> index = {3, 0, 3, 4};
  gather_rows(y, x, list(index, 5), kStream);
  for (i64 r = 0; r < 4; ++r) {
    for (i64 c = 0; c < 7; ++c) CHECK(y.at(r, c) == x.at(index[static_cast<std::size_t>(r)], c));
  }
  CHECK(y.guards_intact());

  GuardedMatrix z(DType::F32, 6, 7, 1);
  z.fill(-1);
  const std::vector<i64> places = {5, 0, 2, 1};
  scatter_rows(z, y, list(places, 6), kStream);
  for (i64 c = 0; c < 7; ++c) {
    for (i64 r = 0; r < 4; ++r) CHECK(z.at(places[static_cast<std::size_t>(r)], c) == y.at(r, c));
    CHECK(z.at(3, c) == -1);
    CHECK(z.at(4, c) == -1);
  }
  CHECK(z.guards_intact());
}

TEST_CASE("scatter_add is the adjoint of gather, with indices that come more than once") {
  GuardedMatrix x(DType::F64, 5, 9), y(DType::F64, 40, 9), dy(DType::F64, 40, 9, 1), dx(DType::F64, 5, 9);
  x.randomise("x");
  dy.randomise("dy");
  std::vector<i64> index;
  for (i64 i = 0; i < 40; ++i) index.push_back(i * i % 5);
  gather_rows(y, x, list(index, 5), kStream);
  scatter_add_rows(dx, dy, list(index, 5), kStream);
  CHECK(scalar_product(y, dy) == doctest::Approx(scalar_product(x, dx)).epsilon(1e-13));
  double sum = 0;  // of the rows that go to row 4, in their order, as it was 0 before
  for (i64 i = 0; i < 40; ++i) sum += index[static_cast<std::size_t>(i)] == 4 ? dy.at(i, 8) : 0;
  CHECK(dx.at(4, 8) == sum);
  scatter_add_rows(dx, dy, list(index, 5), kStream);  // added to what is there
  CHECK(dx.at(4, 8) == doctest::Approx(2 * sum).epsilon(1e-15));
  CHECK(dx.guards_intact());
}

TEST_CASE("rows are moved and added with the same bits for every thread count") {
  check_same_bits_for_every_thread_count([] {
    GuardedMatrix x(DType::F32, 700, 133), y(DType::F32, 30, 133), z(DType::F32, 700, 133),
        w(DType::F32, 700, 133);
    x.randomise("x");
    std::vector<i64> index, order;
    for (i64 i = 0; i < 700; ++i) {
      index.push_back(i * i % 30);
      order.push_back(699 - i);
    }
    scatter_add_rows(y, x, list(index, 30), kStream);
    gather_rows(z, y, list(index, 30), kStream);
    scatter_rows(w, x, list(order, 700), kStream);
    add_matrix(w, z, kStream);
    copy_matrix(z, w, kStream);
    CHECK(z.values() == w.values());
    CHECK(w.at(3, 5) == static_cast<float>(x.at(696, 5)) + static_cast<float>(y.at(9, 5)));
    for (const GuardedMatrix* m : {&x, &y, &z, &w}) CHECK(m->guards_intact());
    return w.values();
  });
}

TEST_CASE("rows of other element types are moved as they are") {
  std::vector<std::uint8_t> from = {1, 2, 3, 4, 5, 6}, to(4, 9);
  const Matrix x(from.data(), DType::U8, 3, 2, 2, Backend::host),
      y(to.data(), DType::U8, 2, 2, 2, Backend::host);
  const std::vector<i64> index = {2, 0};
  gather_rows(y, x, list(index, 3), kStream);
  CHECK(to == std::vector<std::uint8_t>{5, 6, 1, 2});
}

TEST_CASE("an index outside throws when its list is made, and is named") {
  for (const i64 wrong : {i64{3}, i64{-1}}) {
    const Failure made = failure_of([&] { list({0, wrong}, 3); });
    CHECK(made.code == ExitCode::internal);
    CHECK(contains(made.message, "rows: index 1 of 2 is " + std::to_string(wrong)));
  }
}

TEST_CASE("a list made for more rows than there are throws before anything is written") {
  GuardedMatrix x(DType::F32, 3, 4), y(DType::F32, 2, 4);
  x.randomise("x");
  const IndexList four = list({0, 1}, 4), two = list({0, 1}, 2), one = list({0}, 3);
  CHECK(failure_of([&] { gather_rows(y, x, four, kStream); }).code == ExitCode::internal);
  CHECK(failure_of([&] { scatter_rows(x, y, four, kStream); }).code == ExitCode::internal);
  CHECK(failure_of([&] { scatter_add_rows(x, y, four, kStream); }).code == ExitCode::internal);
  CHECK(y.values() == std::vector<double>(8, 0.0));
  CHECK(failure_of([&] { gather_rows(y, x, one, kStream); }).code == ExitCode::internal);
  CHECK(failure_of([&] { copy_matrix(y, x, kStream); }).code == ExitCode::internal);
  CHECK(failure_of([&] { add_matrix(y, x, kStream); }).code == ExitCode::internal);
  gather_rows(y, x, two, kStream);
  CHECK(y.at(1, 3) == x.at(1, 3));
}

TEST_CASE("a part of a list is that part, and one that a trace only counts is not read") {
  const IndexList whole = list({4, 2, 0, 3}, 5), part = whole.range(1, 2);
  CHECK(part.size() == 2);
  CHECK(part.limit() == 5);
  CHECK(std::vector<i64>(part.host().begin(), part.host().end()) == std::vector<i64>{2, 0});
  CHECK_THROWS(whole.range(3, 2));
  const IndexList counted = IndexList::counted(7, 9);
  CHECK(counted.range(2, 3).size() == 3);
  CHECK_THROWS(counted.host());
  CHECK(IndexList::counted(0, 9).host().empty());
}

TEST_CASE("a matrix becomes zero between its strides") {
  GuardedMatrix x(DType::F32, 3, 4, 2);
  x.randomise("x");
  zero_matrix(x, kStream);
  CHECK(x.values() == std::vector<double>(12, 0.0));
  CHECK(x.guards_intact());
}

TEST_CASE("no rows and no columns are moved without harm") {
  const GuardedMatrix none(DType::F32, 0, 4), x(DType::F32, 3, 4);
  gather_rows(none, x, {}, kStream);
  scatter_rows(x, none, {}, kStream);
  scatter_add_rows(x, none, {}, kStream);
  gather_rows(none, none, {}, kStream);
  copy_matrix(x.view().columns(1, 0), x.view().columns(2, 0), kStream);
  CHECK(x.guards_intact());
}
