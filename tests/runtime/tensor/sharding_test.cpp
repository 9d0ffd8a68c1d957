// Parameters that are dealt over ranks: who holds what, and what may be used when.
#include <doctest/doctest.h>

#include "runtime/tensor/parameters.h"
#include "tests/support/failure.h"

using namespace longsight;

namespace {

// Two units that lie in each other, trained and frozen by turns.
struct Model {
  explicit Model(const Sharding& sharding, DType dtype = DType::F64) {
    const auto add = [&](const std::string& name, Shape shape, const std::string& unit) {
      parameters.add(
          {.name = name, .shape = shape, .part = "language", .init = init_normal(1), .unit = unit});
    };
    add("a.q", {3, 4}, "a");
    add("a.k", {2, 4}, "a");
    add("a.frozen", {5}, "a");
    add("b.w", {7}, "b");
    add("a.late", {2, 2}, "a");
    add("b.one", {1}, "b");
    parameters.set_trainable([](const Parameter& p) { return p.name != "a.frozen"; });
    parameters.allocate(dtype, true, Backend::host, sharding);
    parameters.initialise(3);
  }
  ParameterRegistry parameters;
};

std::vector<double> elements_of(Tensor x) {
  return {x.host<double>(), x.host<double>() + x.elements()};
}

}  // namespace

TEST_CASE("shares are intervals that cover everything once, and differ by one at most") {
  for (const i64 elements : {0, 1, 5, 6, 7, 100}) {
    for (const i64 ranks : {1, 2, 3, 7, 200}) {
      i64 end = 0;
      for (i64 r = 0; r < ranks; ++r) {
        const Share share = share_of(elements, r, ranks);
        CHECK(share.begin == end);
        CHECK(share.elements() - elements / ranks <= 1);
        CHECK(share.elements() >= elements / ranks);
        end = share.end;
      }
      CHECK(end == elements);
    }
  }
}

TEST_CASE("a bucket is of neighbours of one unit that are all trained or all not") {
  const Model m({3, 1, 3});
  const auto buckets = m.parameters.buckets();
  std::vector<std::pair<i64, i64>> found;
  for (const ParameterBucket& bucket : buckets) found.emplace_back(bucket.first, bucket.elements);
  CHECK(found == std::vector<std::pair<i64, i64>>{{0, 20}, {2, 5}, {3, 7}, {4, 4}, {5, 1}});
  CHECK(m.parameters.units().size() == 2);
  CHECK(m.parameters.units()[0].elements == 29);
  CHECK(m.parameters.units()[0].trained == 24);
  CHECK(m.parameters.units()[1].elements == 8);
}

TEST_CASE("what each stage deals is held by the ranks together once, and the rest by each of them") {
  const Model whole({});
  for (const int stage : {0, 1, 2, 3}) {
    for (const i64 ranks : {2, 3, 40}) {
      CAPTURE(stage);
      CAPTURE(ranks);
      i64 values = 0, gradients = 0, moments = 0;
      for (i64 rank = 0; rank < ranks; ++rank) {
        const Model m({stage, rank, ranks});
        values += m.parameters.values().elements();
        gradients += m.parameters.gradients().elements();
        moments += m.parameters.moment_elements();
        // The values are those of the whole model, wherever they are.
        for (ParameterId id = 0; id < m.parameters.size(); ++id) {
          const Share part = stage < 3 ? Share{0, m.parameters[id].elements()}
                                       : m.parameters.part_of(id, m.parameters.bucket_of(id).own);
          const Tensor all = whole.parameters.value(id).reshape({m.parameters[id].elements()});
          if (part.elements() == 0) continue;
          CHECK(elements_of(m.parameters.held_value(id)) ==
                elements_of(all.row_range(part.begin, part.elements())));
        }
      }
      CHECK(values == (stage < 3 ? 37 * ranks : 37));
      CHECK(gradients == (stage < 2 ? 32 * ranks : 32));
      CHECK(moments == (stage < 1 ? 32 * ranks : 32));
    }
  }
}

TEST_CASE("in mixed precision masters are dealt with the moments, and weights in stage 3") {
  const Model whole({}, DType::BF16);
  for (const int stage : {0, 1, 2, 3}) {
    for (const i64 ranks : {2, 3, 40}) {
      CAPTURE(stage);
      CAPTURE(ranks);
      i64 values = 0, weights = 0, bytes = 0;
      for (i64 rank = 0; rank < ranks; ++rank) {
        const Model m({stage, rank, ranks}, DType::BF16);
        const ParameterRegistry& p = m.parameters;
        CHECK(p.values_dealt() == (stage > 0));
        values += p.values().elements();
        weights += p.weights().elements();
        bytes += p.value_bytes();
        // What every rank holds alike is compared: values too, where nothing is dealt.
        CHECK(p.replicated().bytes() >= (stage == 0 ? 37 * 6 : stage < 3 ? 37 * 2 : 0));
        CHECK((p.replicated().bytes() == 0) == (stage == 3));
        for (const ParameterBucket& bucket : p.buckets()) {
          const Tensor own = p.bucket_values(bucket, bucket.own), copy = p.bucket_weights(bucket, bucket.own);
          for (i64 i = 0; i < own.elements(); ++i) {
            const auto at = static_cast<i64>(whole.parameters[bucket.first].offset + bucket.own.begin + i);
            CHECK(own.host<float>()[i] == whole.parameters.values().host<float>()[at]);
            CHECK(copy.host<bf16>()[i].bits == bf16(own.host<float>()[i]).bits);
          }
        }
        if (stage == 1 || stage == 2) {
          CHECK(p.weight(3).data() != nullptr);
          CHECK(failure_of([&] { p.value(3); }).code == ExitCode::internal);
        }
      }
      CHECK(values == (stage == 0 ? 37 * ranks : 37));
      CHECK(weights == (stage < 3 ? 37 * ranks : 37));
      CHECK(bytes == 4 * values + 2 * weights);
    }
  }
}

TEST_CASE("what has been read whole is dealt as what is read in shares") {
  for (i64 rank = 0; rank < 3; ++rank) {
    Model read({}), dealt({3, rank, 3});
    read.parameters.shard({3, rank, 3});
    CHECK(elements_of(read.parameters.values()) == elements_of(dealt.parameters.values()));
    CHECK(read.parameters.gradients().elements() == dealt.parameters.gradients().elements());
  }
}

TEST_CASE("a parameter that is not gathered cannot be used, nor one that has been released") {
  Model m({3, 0, 2});
  ParameterRegistry& p = m.parameters;
  const auto refused = [](auto&& use, const std::string& text) {
    const Failure failure = failure_of(use);
    CHECK(failure.code == ExitCode::internal);
    CHECK_MESSAGE(failure.message.ends_with(text), failure.message);
  };
  const ParameterId k = p.find("a.k"), late = p.find("a.late"), b = p.find("b.w");
  const i64 unit = p.unit_of(k);
  refused([&] { p.value(k); }, "a.k is used while it is not gathered");
  OwnedTensor values(DType::F64, {29}), gradients(DType::F64, {24});
  p.place(unit, values, gradients);
  auto* const at = values->host<double>();
  CHECK(p.value(k).host<double>() == at + 12);
  CHECK(p.value(late).host<double>() == at + 25);
  CHECK(p.joined_weight(0, 2).shape() == Shape{5, 4});
  CHECK(p.grad(late).host<double>() == gradients->host<double>() + 20);
  refused([&] { p.value(b); }, "b.w is used while it is not gathered");
  p.release(unit);
  refused([&] { p.value(k); }, "a.k is used while it is not gathered");
  refused([&] { p.grad(k); }, "the gradient of a.k is used while there is no memory for it");
}

TEST_CASE("a trace may look at parameters as if they were dealt, and leaves them as they were") {
  Model m({});
  const std::vector<double> before = elements_of(m.parameters.values());
  {
    const ParameterRegistry::Pretence dealt(m.parameters, {3, 1, 4});
    CHECK(m.parameters.values().elements() == 9);
    CHECK(failure_of([&] { m.parameters.value(0); }).code == ExitCode::internal);
  }
  CHECK(elements_of(m.parameters.values()) == before);
  CHECK(m.parameters.value(0).shape() == Shape{3, 4});
}
