#include "runtime/ops/host/norm.h"

#include "runtime/ops/formulas/norm.h"
#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
namespace {

// Loops over a row are functions of plain pointers: inside a lambda GCC loads element by element through what
// was captured.

// --- RMS norm ---

template <class T>
void scale_row(T* y, const T* x, Statistics<T> rstd, const T* gain, Statistics<T> offset, i64 width) {
#pragma omp simd
  for (i64 c = 0; c < width; ++c) y[c] = formulas::rms_value<Statistics<T>>(x[c], rstd, gain[c], offset);
}

template <class T>
void rms_backward_row(T* dx, Statistics<T>* d_gain, const T* dy, const T* x, Statistics<T> rstd,
                      const T* gain, Statistics<T> offset, i64 width) {
  using S = Statistics<T>;
  S dot = 0;  // of the gradient of the normalised row with the row
#pragma omp simd reduction(+ : dot)
  for (i64 c = 0; c < width; ++c) dot += dy[c] * (gain[c] + offset) * x[c];
  const S pull = formulas::rms_pull(dot, rstd, static_cast<S>(width));
#pragma omp simd
  for (i64 c = 0; c < width; ++c) {
    const S dc = dy[c], xc = x[c];
    dx[c] = dx[c] + formulas::rms_slope<S>(dc, xc, rstd, gain[c], offset, pull);
    d_gain[c] += dc * xc * rstd;
  }
}

// --- layer norm ---

template <class T>
void normalise_row(T* y, const T* x, Statistics<T> mean, Statistics<T> rstd, const T* gain, const T* bias,
                   i64 width) {
#pragma omp simd
  for (i64 c = 0; c < width; ++c)
    y[c] = formulas::layer_value<Statistics<T>>(x[c], mean, rstd, gain[c], bias[c]);
}

template <class T>
void layer_backward_row(T* dx, Statistics<T>* d_gain, Statistics<T>* d_bias, const T* dy, const T* x,
                        Statistics<T> mean, Statistics<T> rstd, const T* gain, i64 width) {
  using S = Statistics<T>;
  S sum = 0, dot = 0;  // of the gradient of the normalised row: with ones, and with the normalised row
#pragma omp simd reduction(+ : sum, dot)
  for (i64 c = 0; c < width; ++c) {
    const S g = dy[c] * gain[c];
    sum += g;
    dot += g * ((x[c] - mean) * rstd);
  }
  const S mean_sum = sum / static_cast<S>(width), mean_dot = dot / static_cast<S>(width);
#pragma omp simd
  for (i64 c = 0; c < width; ++c) {
    const S dc = dy[c], normal = (x[c] - mean) * rstd;
    dx[c] = dx[c] + formulas::layer_slope<S>(dc, normal, rstd, gain[c], mean_sum, mean_dot);
    d_gain[c] += dc * normal;
    d_bias[c] += dc;
  }
}

struct PartialSums {};

// Calls row(r, partial) for each row, where `partial` [vectors * width] belongs to the row's block; then adds
// the partial vectors to targets[v] [width], block by block. A target may be null.
template <class S, int kVectors, class F>
void sum_over_rows(i64 rows, i64 width, S* const (&targets)[kVectors], F&& row) {
  const RowBlocks blocks(rows);
  S* const partials = static_cast<S*>(
      thread_buffer<PartialSums>(blocks.count * kVectors * width * static_cast<i64>(sizeof(S))));
  parallel_items(blocks.count, rows * width, [&](i64 b) {
    S* partial = partials + b * kVectors * width;
    std::fill(partial, partial + kVectors * width, S(0));
    for (i64 r = blocks.first(b); r < blocks.last(b); ++r) row(r, partial);
  });
  for (int v = 0; v < kVectors; ++v) {
    if (targets[v] == nullptr) continue;
    S* const target = targets[v];
    for (i64 b = 0; b < blocks.count; ++b) {
      const S* partial = partials + (b * kVectors + v) * width;
#pragma omp simd
      for (i64 c = 0; c < width; ++c) target[c] += partial[c];
    }
  }
}

}  // namespace

void rms_norm(Tensor y, Tensor rstd, Tensor x, Tensor gain, double eps, double offset) {
  const i64 rows = x.rows(), width = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    T* const out = y.host<T>();
    S* const saved = rstd.host<S>();
    const T *const in = x.host<T>(), *const scale = gain.host<T>();
    parallel_items(rows, rows * width, [&](i64 r) {
      const T* v = in + r * width;
      S squares = 0;
#pragma omp simd reduction(+ : squares)
      for (i64 c = 0; c < width; ++c) squares += S(v[c]) * S(v[c]);
      saved[r] = formulas::reciprocal_root(squares / static_cast<S>(width), static_cast<S>(eps));
      scale_row(out + r * width, v, saved[r], scale, static_cast<S>(offset), width);
    });
  });
}

void rms_norm_again(Tensor y, Tensor x, Tensor rstd, Tensor gain, double offset) {
  const i64 rows = x.rows(), width = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    T* const out = y.host<T>();
    const T *const in = x.host<T>(), *const scale = gain.host<T>();
    const S* const saved = rstd.host<S>();
    parallel_items(rows, rows * width, [&](i64 r) {
      scale_row(out + r * width, in + r * width, saved[r], scale, static_cast<S>(offset), width);
    });
  });
}

void rms_norm_backward(Tensor dx, Tensor d_gain, Tensor dy, Tensor x, Tensor rstd, Tensor gain,
                       double offset) {
  const i64 rows = x.rows(), width = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    T* const out = dx.host<T>();
    const T *const upstream = dy.host<T>(), *const in = x.host<T>(), *const scale = gain.host<T>();
    const S* const saved = rstd.host<S>();
    S* const targets[1] = {d_gain ? d_gain.host<S>() : nullptr};
    sum_over_rows<S, 1>(rows, width, targets, [&](i64 r, S* partial) {
      rms_backward_row(out + r * width, partial, upstream + r * width, in + r * width, saved[r], scale,
                       static_cast<S>(offset), width);
    });
  });
}

void layer_norm(Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor gain, Tensor bias, double eps) {
  const i64 rows = x.rows(), width = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    T* const out = y.host<T>();
    S *const means = mean.host<S>(), *const saved = rstd.host<S>();
    const T *const in = x.host<T>(), *const scale = gain.host<T>(), *const shift = bias.host<T>();
    parallel_items(rows, rows * width, [&](i64 r) {
      const T* v = in + r * width;
      S sum = 0;
#pragma omp simd reduction(+ : sum)
      for (i64 c = 0; c < width; ++c) sum += v[c];
      const S m = sum / static_cast<S>(width);
      S squares = 0;
#pragma omp simd reduction(+ : squares)
      for (i64 c = 0; c < width; ++c) squares += (v[c] - m) * (v[c] - m);
      means[r] = m;
      saved[r] = formulas::reciprocal_root(squares / static_cast<S>(width), static_cast<S>(eps));
      normalise_row(out + r * width, v, m, saved[r], scale, shift, width);
    });
  });
}

void layer_norm_again(Tensor y, Tensor x, Tensor mean, Tensor rstd, Tensor gain, Tensor bias) {
  const i64 rows = x.rows(), width = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    T* const out = y.host<T>();
    const T *const in = x.host<T>(), *const scale = gain.host<T>(), *const shift = bias.host<T>();
    const S *const means = mean.host<S>(), *const saved = rstd.host<S>();
    parallel_items(rows, rows * width, [&](i64 r) {
      normalise_row(out + r * width, in + r * width, means[r], saved[r], scale, shift, width);
    });
  });
}

void layer_norm_backward(Tensor dx, Tensor d_gain, Tensor d_bias, Tensor dy, Tensor x, Tensor mean,
                         Tensor rstd, Tensor gain) {
  const i64 rows = x.rows(), width = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    T* const out = dx.host<T>();
    const T *const upstream = dy.host<T>(), *const in = x.host<T>(), *const scale = gain.host<T>();
    const S *const means = mean.host<S>(), *const saved = rstd.host<S>();
    S* const targets[2] = {d_gain ? d_gain.host<S>() : nullptr, d_bias ? d_bias.host<S>() : nullptr};
    sum_over_rows<S, 2>(rows, width, targets, [&](i64 r, S* partial) {
      layer_backward_row(out + r * width, partial, partial + width, upstream + r * width, in + r * width,
                         means[r], saved[r], scale, width);
    });
  });
}

}  // namespace longsight::ops::host
