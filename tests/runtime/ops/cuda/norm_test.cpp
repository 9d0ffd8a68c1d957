#include "runtime/ops/norm.h"

#include "tests/runtime/ops/cuda/twin.h"

using namespace longsight;
using namespace longsight::cuda_test;

namespace {

template <class T>
struct NormOperands {
  NormOperands(i64 rows, i64 width)
      : x(dtype_of<T>(), {rows, width}, "x"),
        y(dtype_of<T>(), {rows, width}, "y"),
        dy(dtype_of<T>(), {rows, width}, "dy"),
        dx(dtype_of<T>(), {rows, width}, "dx"),
        gain(dtype_of<T>(), {width}, "gain"),
        bias(dtype_of<T>(), {width}, "bias"),
        mean(dtype_of<Statistics<T>>(), {rows}, "mean"),
        rstd(dtype_of<Statistics<T>>(), {rows}, "rstd"),
        d_gain(dtype_of<Statistics<T>>(), {width}, "d_gain"),
        d_bias(dtype_of<Statistics<T>>(), {width}, "d_bias") {}
  Twin x, y, dy, dx, gain, bias, mean, rstd, d_gain, d_bias;
};

template <class T, class F>
void for_norms(F&& f) {
  for (const i64 width : kAwkward) {
    for (const i64 rows : {1, 5, 37}) {
      CAPTURE(width);
      CAPTURE(rows);
      NormOperands<T> operands(rows, width);
      f(operands, static_cast<double>(8 + width));
    }
  }
  // Rows of whole packs, for a warp and for a block.
  for (const i64 width : {64, 1536}) {
    CAPTURE(width);
    NormOperands<T> operands(9, width);
    f(operands, static_cast<double>(8 + width));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("RMS norm on CUDA is that of the host", T, float, double, bf16) {
  for_norms<T>([](NormOperands<T>& t, double terms) {
    same_on_cuda("rms_norm", {&t.y, &t.rstd}, terms, [&](const Side& s) {
      ops::rms_norm(s(t.y), s(t.rstd), s(t.x), s(t.gain), 1e-6, s.stream, 1);
    });
    same_on_cuda("rms_norm_again", {&t.y}, terms,
                 [&](const Side& s) { ops::rms_norm_again(s(t.y), s(t.x), s(t.rstd), s(t.gain), s.stream); });
    same_on_cuda("rms_norm_backward", {&t.dx, &t.d_gain}, 4 * terms, [&](const Side& s) {
      ops::rms_norm_backward(s(t.dx), s(t.d_gain), s(t.dy), s(t.x), s(t.rstd), s(t.gain), s.stream, 1);
    });
  });
}

TEST_CASE_TEMPLATE("layer norm on CUDA is that of the host", T, float, double, bf16) {
  for_norms<T>([](NormOperands<T>& t, double terms) {
    // A row of one element has no variance: what is left of it is rounding.
    const bool alone = t.gain.tensor(false).elements() == 1;
    same_on_cuda("layer_norm", {&t.y, &t.mean, &t.rstd}, terms, [&](const Side& s) {
      ops::layer_norm(s(t.y), s(t.mean), s(t.rstd), s(t.x), s(t.gain), s(t.bias), 1e-5, s.stream);
    });
    same_on_cuda("layer_norm_again", {&t.y}, terms, [&](const Side& s) {
      ops::layer_norm_again(s(t.y), s(t.x), s(t.mean), s(t.rstd), s(t.gain), s(t.bias), s.stream);
    });
    same_on_cuda("layer_norm_backward", {&t.dx, &t.d_gain, &t.d_bias}, (alone ? 400 : 4) * terms,
                 [&](const Side& s) {
                   ops::layer_norm_backward(s(t.dx), s(t.d_gain), s(t.d_bias), s(t.dy), s(t.x), s(t.mean),
                                            s(t.rstd), s(t.gain), s.stream);
                 });
  });
}

TEST_CASE("norms on CUDA leave out the gradients that nobody wants, and write a row over itself") {
  NormOperands<float> t(21, 100);
  same_on_cuda("rms_norm", {&t.x, &t.rstd}, 100,
               [&](const Side& s) { ops::rms_norm(s(t.x), s(t.rstd), s(t.x), s(t.gain), 1e-6, s.stream); });
  NormOperands<float> u(21, 100);
  u.rstd.set(0, 1.5F);
  same_on_cuda("rms_norm_backward", {&u.dx, &u.d_gain}, 400, [&](const Side& s) {
    ops::rms_norm_backward(s(u.dx), {}, s(u.dy), s(u.x), s(u.rstd), s(u.gain), s.stream);
  });
  same_on_cuda("layer_norm_backward", {&u.d_gain, &u.d_bias}, 400, [&](const Side& s) {
    ops::layer_norm_backward(s(u.dx), {}, s(u.d_bias), s(u.dy), s(u.x), s(u.mean), s(u.rstd), s(u.gain),
                             s.stream);
  });
}

TEST_CASE("rows too long for sums in shared memory keep them on the device") {
  NormOperands<double> t(9, 13000);
  same_on_cuda("rms_norm_backward", {&t.dx, &t.d_gain}, 4 * 13000, [&](const Side& s) {
    ops::rms_norm_backward(s(t.dx), s(t.d_gain), s(t.dy), s(t.x), s(t.rstd), s(t.gain), s.stream);
  });
}
