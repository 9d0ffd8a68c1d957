// Each op in bf16 against the same op in f32 on the same inputs: what it stores in bf16 is the f32 result
// rounded once, and what it keeps in f32 is that of f32. The slack of a comparison is what sums of so many
// terms of such sizes may differ by in f32, where the order of the terms or the fusing of operations is
// another.
#include <bit>

#include "runtime/ops/adamw.h"
#include "runtime/ops/argmax.h"
#include "runtime/ops/combine.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/hash.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/merge_attention.h"
#include "runtime/ops/norm.h"
#include "runtime/ops/patches.h"
#include "runtime/ops/rope.h"
#include "runtime/ops/row_scale.h"
#include "runtime/ops/rows.h"
#include "tests/runtime/ops/bf16_pairs.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

constexpr Activation kActivations[] = {Activation::none,       Activation::gelu, Activation::gelu_tanh,
                                       Activation::quick_gelu, Activation::silu, Activation::relu};

std::vector<double> joined(std::initializer_list<const OwnedTensor*> tensors) {
  std::vector<double> all;
  for (const OwnedTensor* x : tensors) {
    const auto part = values_of(*x);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace

TEST_CASE("bf16: linear adds up in f32 and rounds its results once") {
  constexpr i64 kRows = 37, kInputs = 130, kOutputs = 90;
  constexpr double kSlack = 1e-4;  // 130 terms of about 0.3, and few roundings
  // Columns of wider tensors, as q, k and v are.
  const Both x({kRows, kInputs + 6}, "x"), weight({kOutputs, kInputs}, "weight", 0.3),
      bias({kOutputs}, "bias"), residual({kRows, kOutputs}, "residual", 8),
      upstream({kRows, kOutputs + 3}, "upstream");
  Both y({kRows, kOutputs + 1}), activated({kRows, kOutputs}), dx({kRows, kInputs}),
      added({kRows, kInputs}, "added");
  Sums dw({kOutputs, kInputs}), db({kOutputs}), logits({kRows, kOutputs});
  for (const int t : {0, 1}) {
    const Matrix in = Matrix(x.of[t].view()).columns(4, kInputs);
    const Matrix dy = Matrix(upstream.of[t].view()).columns(2, kOutputs);
    linear(Matrix(y.of[t].view()).columns(0, kOutputs), in, weight.of[t],
           {.bias = bias.of[t], .residual = residual.of[t].view()}, kStream);
    linear(logits.of[t].view(), in, weight.of[t], {}, kStream);
    linear_backward_input(dx.of[t].view(), dy, weight.of[t], Write::overwrite, kStream);
    linear_backward_input(added.of[t].view(), dy, weight.of[t], Write::add, kStream);
    for (int twice = 0; twice < 2; ++twice) linear_backward_weight(dw.of[t], db.of[t], dy, in, kStream);
  }
  check_rounded(y, kSlack);
  check_rounded(dx, kSlack);
  check_rounded(added, kSlack);
  check_alike(logits);
  check_alike(dw);
  check_alike(db);
}

TEST_CASE("bf16: the activation of a product is that of what the product stores") {
  for (const Activation kind : {Activation::gelu, Activation::silu}) {
    const Both x({21, 40}, "x"), weight({30, 40}, "weight", 0.3);
    const OwnedTensor y(DType::BF16, {21, 30}), activated(DType::BF16, {21, 30}),
        alone(DType::BF16, {21, 30});
    linear(y.view(), x.of[0].view(), weight.of[0], {.activation = kind, .activated = activated.view()},
           kStream);
    activation(alone.view(), y.view(), kind, kStream);
    CHECK(values_of(activated) == values_of(alone));
  }
}

TEST_CASE("bf16: no rows and no depth") {
  const OwnedTensor x(DType::BF16, {0, 5}), weight(DType::BF16, {3, 5}), y(DType::BF16, {0, 3});
  const Sums dw({3, 5});
  linear(y.view(), x.view(), weight, {}, kStream);
  linear_backward_weight(dw.of[0], {}, y.view(), x.view(), kStream);
  CHECK(values_of(dw.of[0]) == std::vector<double>(15, 0.0));
  const OwnedTensor no_inputs(DType::BF16, {2, 0}), no_weight(DType::BF16, {3, 0}), rows(DType::BF16, {2, 3});
  const Both bias({3}, "bias");
  linear(rows.view(), no_inputs.view(), no_weight, {.bias = bias.of[0]}, kStream);
  const auto b = values_of(bias.of[0]);
  CHECK(values_of(rows) == std::vector<double>{b[0], b[1], b[2], b[0], b[1], b[2]});
}

TEST_CASE("bf16: norms keep their statistics and gradients in f32") {
  constexpr i64 kRows = 37, kWidth = 200;
  constexpr double kSlack = 1e-5;  // sums of 200 terms of about 1, normalised
  const Both x({kRows, kWidth}, "x", 1, 0.5), dy({kRows, kWidth}, "dy"), gain({kWidth}, "gain", 0.3, 1),
      bias({kWidth}, "bias");
  for (const double offset : {0.0, 1.0}) {
    Both y({kRows, kWidth}), again({kRows, kWidth}), dx({kRows, kWidth}, "dx");
    Sums rstd({kRows}), d_gain({kWidth});
    for (const int t : {0, 1}) {
      rms_norm(y.of[t], rstd.of[t], x.of[t], gain.of[t], 1e-3, kStream, offset);
      rms_norm_again(again.of[t], x.of[t], rstd.of[t], gain.of[t], kStream, offset);
      rms_norm_backward(dx.of[t], d_gain.of[t], dy.of[t], x.of[t], rstd.of[t], gain.of[t], kStream, offset);
    }
    check_rounded(y, kSlack);
    check_rounded(dx, kSlack);
    check_alike(rstd);
    check_alike(d_gain);
    CHECK(values_of(again.of[0]) == values_of(y.of[0]));
  }
  Both y({kRows, kWidth}), again({kRows, kWidth}), dx({kRows, kWidth}, "dx");
  Sums mean({kRows}), rstd({kRows}), d_gain({kWidth}), d_bias({kWidth});
  for (const int t : {0, 1}) {
    layer_norm(y.of[t], mean.of[t], rstd.of[t], x.of[t], gain.of[t], bias.of[t], 1e-3, kStream);
    layer_norm_again(again.of[t], x.of[t], mean.of[t], rstd.of[t], gain.of[t], bias.of[t], kStream);
    layer_norm_backward(dx.of[t], d_gain.of[t], d_bias.of[t], dy.of[t], x.of[t], mean.of[t], rstd.of[t],
                        gain.of[t], kStream);
  }
  check_rounded(y, kSlack);
  check_rounded(dx, kSlack);
  for (const Sums* sums : {&mean, &rstd, &d_gain, &d_bias}) check_alike(*sums);
  CHECK(values_of(again.of[0]) == values_of(y.of[0]));
}

TEST_CASE("bf16: activations and their gradients are computed in f32") {
  constexpr double kSlack = 1e-5;
  for (const Activation kind : kActivations) {
    const Both x({9, 77}, "x", 3), dy({9, 77}, "dy"), gate_up({9, 2 * 77}, "gate_up", 3);
    Both y({9, 77}), dx({9, 77}), h({9, 77}), h_again({9, 77}), d_gate_up({9, 2 * 77}), d_alone({9, 2 * 77});
    for (const int t : {0, 1}) {
      activation(y.of[t].view(), x.of[t].view(), kind, kStream);
      activation_backward(dx.of[t].view(), dy.of[t].view(), x.of[t].view(), kind, kStream);
      gated(h.of[t].view(), gate_up.of[t].view(), kind, kStream);
      gated_backward(d_gate_up.of[t].view(), h_again.of[t].view(), dy.of[t].view(), gate_up.of[t].view(),
                     kind, kStream);
      gated_backward(d_alone.of[t].view(), {}, dy.of[t].view(), gate_up.of[t].view(), kind, kStream);
    }
    for (const Both* result : {&y, &dx, &h, &h_again, &d_gate_up, &d_alone}) check_rounded(*result, kSlack);
    CHECK(values_of(h_again.of[0]) == values_of(h.of[0]));
  }
}

TEST_CASE("bf16: rotations by angles in f32") {
  const Both angle({11, 8}, "angle");
  Both x({11, 3, 16}, "x"), back({11, 3, 16}, "x");
  Sums cos({11, 8}), sin({11, 8});
  for (const int t : {0, 1}) {
    for (i64 i = 0; i < 88; ++i) {
      cos.of[t]->host<float>()[i] = std::cos(angle.of[1]->host<float>()[i]);
      sin.of[t]->host<float>()[i] = std::sin(angle.of[1]->host<float>()[i]);
    }
    rope(x.of[t].view(), cos.of[t], sin.of[t], Turn::forward, kStream);
    rope(back.of[t].view(), cos.of[t], sin.of[t], Turn::inverse, kStream);
  }
  check_rounded(x, 1e-6);
  check_rounded(back, 1e-6);
  const OwnedTensor half_angles(DType::BF16, {11, 8});
  CHECK(failure_of([&] { rope(x.of[0].view(), half_angles, half_angles, Turn::forward, kStream); }).code ==
        ExitCode::internal);
}

TEST_CASE("bf16: rows move as they are, and gradients of an embedding add up in f32") {
  const Both x({5, 33}, "x"), start({7, 33}, "start");
  const IndexList each({6, 0, 3, 1, 5}, 7, "each"), often({2, 2, 2, 0, 2}, 7, "often");
  OwnedTensor y(DType::BF16, {7, 33}), back(DType::BF16, {5, 33});
  scatter_rows(y.view(), x.of[0].view(), each, kStream);
  gather_rows(back.view(), y.view(), each, kStream);
  CHECK(values_of(back) == values_of(x.of[0]));
  copy_matrix(back.view(), x.of[0].view(), kStream);
  CHECK(values_of(back) == values_of(x.of[0]));
  zero_matrix(back.view(), kStream);
  CHECK(values_of(back) == std::vector<double>(5 * 33, 0.0));

  Sums gradient({7, 33}), matrix({5, 33});
  Both once({7, 33}, "start"), sum({5, 33}, "sum");
  for (const int t : {0, 1}) {
    scatter_add_rows(gradient.of[t].view(), x.of[t].view(), often, kStream);
    add_matrix(matrix.of[t].view(), x.of[t].view(), kStream);
    scatter_add_rows(once.of[t].view(), x.of[t].view(), each, kStream);
    add_matrix(sum.of[t].view(), x.of[t].view(), kStream);
  }
  CHECK(values_of(gradient.of[0]) == values_of(gradient.of[1]));
  CHECK(values_of(matrix.of[0]) == values_of(matrix.of[1]));
  check_rounded(once, 0);
  check_rounded(sum, 0);
}

TEST_CASE("bf16: what ranks hold is added in f32 and rounded once") {
  // 256 and 1 are 256 in bf16, and so on for ever.
  const auto value = [](float x) {
    OwnedTensor t(DType::BF16, {3000});
    std::fill_n(t->host<bf16>(), 3000, bf16(x));
    return t;
  };
  const OwnedTensor large = value(256), one = value(1), other = value(1), y = value(0);
  combine(y, std::vector<Tensor>{large, one, other}, Combination::sum, kStream);
  CHECK(values_of(y) == std::vector<double>(3000, 258.0));
  combine(y, std::vector<Tensor>{one, large, other}, Combination::max, kStream);
  CHECK(values_of(y) == std::vector<double>(3000, 256.0));
  large->host<bf16>()[7] = std::numeric_limits<float>::quiet_NaN();
  combine(y, std::vector<Tensor>{one, large, other}, Combination::max, kStream);
  CHECK(std::isnan(y->host<bf16>()[7]));
}

TEST_CASE("bf16: factors of rows") {
  const Both x({7, 90}, "x"), scale({7}, "scale");
  Both y({7, 90}), scaled({7, 90}, "x");
  Sums dx({7, 90}), dy({7, 90}), d_scale({7});
  for (const int t : {0, 1}) {
    fill_random(dy.of[t], "dy");
    scale_rows(y.of[t].view(), x.of[t].view(), scale.of[t], kStream);
    scale_rows_backward(dx.of[t].view(), d_scale.of[t], dy.of[t].view(), x.of[t].view(), scale.of[t],
                        kStream);
    scale_matrix(scaled.of[t].view(), 1.0 / 3, kStream);
  }
  check_rounded(y, 0);
  check_rounded(scaled, 0);
  check_alike(dx);
  check_alike(d_scale);
}

TEST_CASE("bf16: parts of attention are merged with log-sums in f32") {
  const Both part({9, 4, 8}, "part");
  Both o({9, 4, 8}, "o");
  Sums lse({9, 4}), part_lse({9, 4});
  for (const int t : {0, 1}) {
    fill_random(lse.of[t], "lse");
    fill_random(part_lse.of[t], "part_lse");
    merge_attention(o.of[t].view(), lse.of[t].view(), part.of[t].view(), part_lse.of[t].view(), kStream);
  }
  check_rounded(o, 1e-6);
  check_alike(lse, 0x1p-24);
}

TEST_CASE("bf16: the loss and the gradient of the weight are those of f32") {
  constexpr i64 kRows = 29, kWidth = 40, kIds = 101;
  const Both x({kRows, kWidth}, "x"), weight({kIds, kWidth}, "weight", 0.3);
  std::vector<i64> ids;
  for (i64 r = 0; r < kRows; ++r) ids.push_back(r * 7 % kIds);
  const IndexList targets(ids, kIds, "targets");
  Both dx({kRows, kWidth});
  Sums d_weight({kIds, kWidth});
  double loss[2], evaluated[2];
  for (const int t : {0, 1}) {
    Arena scratch("scratch");
    OwnedTensor sum(DType::F64, {1}), alone(DType::F64, {1});
    const ProjectedLoss p{
        .x = x.of[t], .weight = weight.of[t], .targets = targets, .scale = 0.125, .chunk_rows = 10};
    projected_loss_with_gradient(sum, dx.of[t], d_weight.of[t], p, scratch, kStream);
    projected_loss(alone, p, scratch, kStream);
    loss[t] = *sum->host<double>();
    evaluated[t] = *alone->host<double>();
  }
  // Logits of 40 terms in f32: nothing of the loss is rounded to bf16.
  CHECK(std::abs(loss[0] - loss[1]) < 2e-6 * loss[1]);
  CHECK(evaluated[0] == loss[0]);
  // The gradient of the logits is rounded before its products. No element of it is larger than the scale, and
  // in a row the sizes sum up to at most twice the scale.
  const auto values = [](const OwnedTensor& t) { return values_of(t); };
  const auto largest = [](const std::vector<double>& v) {
    return std::abs(
        *std::max_element(v.begin(), v.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }));
  };
  const auto error = [&](const std::vector<double>& a, std::vector<double> b) {
    for (std::size_t i = 0; i < b.size(); ++i) b[i] -= a[i];
    return largest(b);
  };
  const double dx_error = error(values(dx.of[0]), values(dx.of[1]));
  CHECK(dx_error <= kHalfUnit * (2 * 0.125 * largest(values(weight.of[1])) + largest(values(dx.of[1]))));
  CHECK(dx_error > 0);
  CHECK(error(values(d_weight.of[0]), values(d_weight.of[1])) <=
        kHalfUnit * 0.125 * kRows * largest(values(x.of[1])));
}

TEST_CASE("bf16: an optimizer step writes a rounded copy beside the f32 values") {
  constexpr i64 kCount = 5000;
  const OwnedTensor scale(DType::F64, {1}), copied(DType::BF16, {kCount}), expected(DType::BF16, {kCount});
  *scale->host<double>() = 0.5;
  OwnedTensor value[2], gradient[2], first[2], second[2];
  for (const int t : {0, 1}) {
    value[t] = random_tensor(DType::F32, {kCount}, "value");
    gradient[t] = random_tensor(DType::F32, {kCount}, "gradient");
    first[t] = OwnedTensor(DType::F32, {kCount});
    second[t] = OwnedTensor(DType::F32, {kCount});
    adamw_step(value[t], gradient[t], first[t], second[t], scale, {.lr = 1e-3, .weight_decay = 0.1}, kStream,
               t == 0 ? copied.view() : Tensor());
  }
  CHECK(values_of(value[0]) == values_of(value[1]));
  copy(expected, value[1], kStream);
  CHECK(values_of(copied) == values_of(expected));
  // A step that is not taken leaves the copy alone.
  *scale->host<double>() = std::numeric_limits<double>::quiet_NaN();
  adamw_step(value[0], gradient[0], first[0], second[0], scale, {.lr = 1e-3, .step = 2}, kStream, copied);
  CHECK(values_of(copied) == values_of(expected));
  const auto code = [](auto&& call) { return failure_of(call).code; };
  CHECK(code([&] { adamw_step(value[0], gradient[0], first[0], second[0], scale, {}, kStream, value[1]); }) ==
        ExitCode::internal);
  CHECK(code([&] { adamw_step(copied, copied, copied, copied, scale, {}, kStream); }) == ExitCode::internal);
}

TEST_CASE("bf16: patches of f32 pixels, the largest logit, the hash of the bits") {
  const OwnedTensor pixels = random_tensor(DType::F32, {3, 8, 12}, "pixels");
  const IndexList index({5, 0, 3}, 6, "index");
  OwnedTensor rows(DType::BF16, {3, 48}), exact(DType::F32, {3, 48}), rounded(DType::BF16, {3, 48});
  patch_rows(rows.view(), pixels, 4, index, kStream);
  patch_rows(exact.view(), pixels, 4, index, kStream);
  copy(rounded, exact, kStream);
  CHECK(values_of(rows) == values_of(rounded));
  ready_patch_rows(rows.view(), exact, IndexList({2, 1, 0}, 3, "ready"), kStream);
  CHECK(rows->host<bf16>()[0] == rounded->host<bf16>()[2 * 48]);

  OwnedTensor largest[2] = {OwnedTensor(DType::I64, {3}), OwnedTensor(DType::I64, {3})};
  copy(exact, rounded, kStream);
  rounded->host<bf16>()[48] = std::numeric_limits<float>::infinity();
  exact->host<float>()[48] = std::numeric_limits<float>::infinity();
  argmax(largest[0], rounded.view(), kStream);
  argmax(largest[1], exact.view(), kStream);
  for (i64 r = 0; r < 3; ++r) CHECK(largest[0]->host<i64>()[r] == largest[1]->host<i64>()[r]);
  CHECK(largest[0]->host<i64>()[1] == -1);

  OwnedTensor before(DType::I64, {2}), after(DType::I64, {2});
  hash(before, rounded, kStream);
  rounded->host<bf16>()[3].bits ^= 1;
  hash(after, rounded, kStream);
  CHECK(before->host<i64>()[0] != after->host<i64>()[0]);
}

TEST_CASE("bf16: the same bits for every thread count") {
  check_same_bits_for_every_thread_count([] {
    const Both x({301, 130}, "x"), weight({90, 130}, "weight"), dy({301, 90}, "dy"), gain({130}, "gain");
    OwnedTensor y(DType::BF16, {301, 90}), dx(DType::BF16, {301, 130});
    Sums dw({90, 130}), db({90}), rstd({301}), d_gain({130});
    linear(y.view(), x.of[0].view(), weight.of[0], {}, kStream);
    linear_backward_input(dx.view(), dy.of[0].view(), weight.of[0], Write::overwrite, kStream);
    linear_backward_weight(dw.of[0], db.of[0], dy.of[0].view(), x.of[0].view(), kStream);
    OwnedTensor normal(DType::BF16, {301, 130});
    rms_norm(normal, rstd.of[0], x.of[0], gain.of[0], 1e-3, kStream);
    rms_norm_backward(dx, d_gain.of[0], x.of[0], x.of[0], rstd.of[0], gain.of[0], kStream);
    return joined({&y, &dx, &dw.of[0], &db.of[0], &normal, &rstd.of[0], &d_gain.of[0]});
  });
}

TEST_CASE("bf16: statistics and gradients of parameters in bf16 are refused") {
  const auto code = [](auto&& call) { return failure_of(call).code; };
  const Both x({4, 6}, "x"), weight({5, 6}, "w"), dy({4, 5}, "dy"), row({6}, "row"), column({4}, "column");
  const Sums sums({4});
  CHECK(code([&] { linear_backward_weight(weight.of[0], {}, dy.of[0].view(), x.of[0].view(), kStream); }) ==
        ExitCode::internal);
  CHECK(code([&] { rms_norm(x.of[0], column.of[0], x.of[0], row.of[0], 1e-3, kStream); }) ==
        ExitCode::internal);
  CHECK(code([&] {
          rms_norm_backward(x.of[0], row.of[0], x.of[0], x.of[0], sums.of[0], row.of[0], kStream);
        }) == ExitCode::internal);
  CHECK(code([&] { linear(dy.of[0].view(), x.of[0].view(), weight.of[1], {}, kStream); }) ==
        ExitCode::internal);
}

TEST_CASE("bf16: rows are widened into sums and rounded out of them, between any strides") {
  const Both x({5, 7}, "x");
  OwnedTensor sums(DType::F32, {5, 12}), rounded(DType::BF16, {5, 9});
  fill_random(sums, "sums");
  const Matrix inside = Matrix(sums.view()).columns(3, 7), out = Matrix(rounded.view()).columns(1, 7);
  copy_matrix(inside, x.of[0].view(), kStream);
  add_matrix(inside, x.of[0].view(), kStream);
  copy_matrix(out, inside, kStream);
  for (i64 r = 0; r < 5; ++r) {
    CHECK(rounded->host<bf16>()[r * 9].bits == 0);
    CHECK(rounded->host<bf16>()[r * 9 + 8].bits == 0);
    for (i64 c = 0; c < 7; ++c) {
      CHECK(sums->host<float>()[r * 12 + 3 + c] == 2 * x.of[1]->host<float>()[r * 7 + c]);
      CHECK(rounded->host<bf16>()[r * 9 + 1 + c].bits == bf16(sums->host<float>()[r * 12 + 3 + c]).bits);
    }
  }
  OwnedTensor twice(DType::F64, {5, 7});
  CHECK(failure_of([&] { copy_matrix(twice.view(), x.of[1].view(), kStream); }).code == ExitCode::internal);
}

TEST_CASE("bf16: what parts of the keys give is merged in f32, and rounded when all are there") {
  // As many parts as make a difference: each rounding of the running result would be half a unit.
  constexpr i64 kParts = 40, kRows = 9, kHeads = 2, kWidth = 8;
  OwnedTensor o(DType::F32, {kRows, kHeads * kWidth}), lse(DType::F32, {kRows, kHeads}),
      exact(DType::F64, {kRows, kHeads * kWidth}), exact_lse(DType::F64, {kRows, kHeads});
  for (i64 i = 0; i < lse->elements(); ++i) {
    lse->host<float>()[i] = -std::numeric_limits<float>::infinity();
    exact_lse->host<double>()[i] = -std::numeric_limits<double>::infinity();
  }
  for (i64 part = 0; part < kParts; ++part) {
    const Both values({kRows, kHeads * kWidth}, fmt::format("part {}", part));
    OwnedTensor part_lse(DType::F32, {kRows, kHeads}), wide(DType::F64, {kRows, kHeads * kWidth}),
        wide_lse(DType::F64, {kRows, kHeads});
    fill_random(part_lse, fmt::format("log-sums {}", part));
    copy(wide, values.of[1], kStream);
    copy(wide_lse, part_lse, kStream);
    merge_attention(Heads(o.view(), kHeads, kWidth), lse.view(), Heads(values.of[0].view(), kHeads, kWidth),
                    part_lse.view(), kStream);
    merge_attention(Heads(exact.view(), kHeads, kWidth), exact_lse.view(), Heads(wide.view(), kHeads, kWidth),
                    wide_lse.view(), kStream);
  }
  // 40 averages in f32, each off by a few 2^-24.
  CHECK(relative_error(values_of(o), values_of(exact)) < 40 * 4 * 6e-8);
}
