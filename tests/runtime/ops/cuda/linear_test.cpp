#include "runtime/ops/linear.h"

#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/cuda/matmul.h"
#include "tests/runtime/ops/cuda/emulated_device.h"
#include "tests/runtime/ops/cuda/twin.h"

using namespace longsight;
using namespace longsight::cuda_test;
using ops::Activation;

namespace {

struct ProductShape {
  i64 rows, outputs, inputs, gap;
};

// Drawn at random, with sizes of 1 and strides among them.
std::vector<ProductShape> product_shapes() {
  const Philox random(5, "product shapes");
  std::vector<ProductShape> shapes{{1, 1, 1, 0}, {7, 16, 24, 0}, {5, 8, 0, 0}, {0, 8, 3, 0}};
  for (u64 i = 0; i < 12; ++i) {
    const auto draw = [&](u64 what, u64 most) {
      return 1 + static_cast<i64>(random.below(most, 4 * i + what));
    };
    shapes.push_back({draw(0, 20), draw(1, 40), draw(2, 40), (draw(3, 5) - 1) * 2});
  }
  return shapes;
}

}  // namespace

TEST_CASE_TEMPLATE("products on CUDA, as they are described to cuBLASLt, are those of the host", T, float,
                   double, bf16) {
  constexpr DType kType = dtype_of<T>(), kSums = dtype_of<Statistics<T>>();
  for (const ProductShape& p : product_shapes()) {
    CAPTURE(p.rows);
    CAPTURE(p.outputs);
    CAPTURE(p.inputs);
    CAPTURE(p.gap);
    Twin x(kType, {p.rows, p.inputs}, "x", p.gap), y(kType, {p.rows, p.outputs}, "y", p.gap),
        weight(kType, {p.outputs, p.inputs}, "w");
    Twin bias(kType, {p.outputs}, "bias"), residual(kType, {p.rows, p.outputs}, "residual", p.gap),
        activated(kType, {p.rows, p.outputs}, "activated", p.gap),
        logits(kSums, {p.rows, p.outputs}, "logits");
    Twin dw(kSums, {p.outputs, p.inputs}, "dw"), db(kSums, {p.outputs}, "db");
    const auto terms = static_cast<double>(8 + p.inputs + p.rows + p.outputs);
    for (const bool with_bias : {false, true}) {
      for (const bool with_residual : {false, true}) {
        for (const Activation kind : {Activation::none, Activation::gelu_tanh, Activation::silu}) {
          CAPTURE(with_bias);
          CAPTURE(with_residual);
          CAPTURE(static_cast<int>(kind));
          // Two roundings of bf16 where the activation is of what is not rounded yet.
          const double roundings = kType == DType::BF16 && kind != Activation::none ? 0x1p17 : terms;
          same_on_cuda("linear", {&y, &activated}, roundings, [&](const Side& s) {
            ops::LinearOptions options{.activation = kind};
            if (with_bias) options.bias = s(bias);
            if (with_residual) options.residual = s.rows(residual);
            if (kind != Activation::none) options.activated = s.rows(activated);
            ops::linear(s.rows(y), s.rows(x), s(weight), options, s.stream);
          });
        }
      }
    }
    same_on_cuda("linear", {&logits}, terms, [&](const Side& s) {
      ops::linear(s.rows(logits), s.rows(x), s(weight), {.bias = s(bias)}, s.stream);
    });
    for (const auto write : {ops::Write::overwrite, ops::Write::add}) {
      same_on_cuda("linear_backward_input", {&x}, terms, [&](const Side& s) {
        ops::linear_backward_input(s.rows(x), s.rows(y), s(weight), write, s.stream);
      });
    }
    same_on_cuda("linear_backward_weight", {&dw, &db}, terms, [&](const Side& s) {
      ops::linear_backward_weight(s(dw), s(db), s.rows(y), s.rows(x), s.stream);
    });
  }
}

TEST_CASE("the gradient of a bias over many rows is summed up in parts") {
  Twin dy(DType::F32, {1000, 33}, "dy"), x(DType::F32, {1000, 1}, "x"), db(DType::F32, {33}, "db");
  same_on_cuda("linear_backward_weight", {&db}, 1000, [&](const Side& s) {
    ops::linear_backward_weight({}, s(db), s.rows(dy), s.rows(x), s.stream);
  });
}

TEST_CASE("cuBLASLt takes over a bias and the tanh form of GELU where it can write what goes into it") {
  const auto matrix = [](DType type, i64 stride) {
    return Matrix(reinterpret_cast<void*>(4096), type, 4, 16, stride, Backend::cuda);
  };
  const Tensor bias(reinterpret_cast<void*>(8192), DType::BF16, {16}, Backend::cuda);
  Matrix other = matrix(DType::BF16, 16);
  other.data = reinterpret_cast<void*>(16384);
  const ops::LinearOptions gelu{.bias = bias, .activation = Activation::gelu_tanh, .activated = other};
  const Matrix y = matrix(DType::BF16, 16), x = matrix(DType::BF16, 16);
  CHECK(ops::cuda::takes_bias(y, x, gelu));
  CHECK(ops::cuda::takes_activation(y, x, gelu));
  CHECK_FALSE(ops::cuda::takes_bias(matrix(DType::F32, 16), x, gelu));  // of another type than the result
  CHECK_FALSE(ops::cuda::takes_activation(matrix(DType::BF16, 17), x, gelu));  // rows that begin anywhere
  CHECK_FALSE(ops::cuda::takes_activation(other, x, gelu));                    // over what goes into it
  ops::LinearOptions silu = gelu;
  silu.activation = Activation::silu;
  CHECK_FALSE(ops::cuda::takes_activation(y, x, silu));
}

TEST_CASE_TEMPLATE("the loss of projected rows on CUDA is that of the host, with its gradients", T, float,
                   double, bf16) {
  constexpr DType kType = dtype_of<T>(), kSums = dtype_of<Statistics<T>>();
  for (const i64 ids : {1, 33, 100, 1032}) {
    CAPTURE(ids);
    const i64 rows = 13, width = 8;
    Twin x(kType, {rows, width}, "x"), weight(kType, {ids, width}, "w", 0, 2), loss(DType::F64, {1}, "loss");
    Twin dx(kType, {rows, width}, "dx"), d_weight(kSums, {ids, width}, "dw");
    const IndexList targets = random_list(rows, ids, "targets");
    // In f64, of logits in the statistics' type.
    const double terms = kSums == DType::F64 ? 256 : 0x1p29 * 256;
    Scratch scratch;
    const auto problem = [&](const Side& s) {
      return ops::ProjectedLoss{
          .x = s(x), .weight = s(weight), .targets = targets, .scale = 0.1, .chunk_rows = 5};
    };
    same_on_cuda("row_losses", {&loss}, terms, [&](const Side& s) {
      ops::projected_loss(s(loss), problem(s), scratch.of(s.device), s.stream);
    });
    same_on_cuda("row_losses", {&loss, &dx, &d_weight}, terms, [&](const Side& s) {
      ops::projected_loss_with_gradient(s(loss), s(dx), s(d_weight), problem(s), scratch.of(s.device),
                                        s.stream);
    });
    // All in the statistics' type: the gradients are as near as their own roundings allow.
    if (ids == 1) continue;
    CHECK(d_weight.worst_error() <= (kSums == DType::F64    ? 0x1p-52
                                     : kType == DType::BF16 ? 0x1p-7
                                                            : 0x1p-23) *
                                        64);
  }
}
