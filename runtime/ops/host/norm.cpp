#include "runtime/ops/host/norm.h"

#include <cmath>

#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
namespace {

// Loops over a row are functions of plain pointers: inside a lambda GCC loads element by element through what
// was captured.

// --- RMS norm ---

template <class T>
void scale_row(T* y, const T* x, T rstd, const T* gain, T offset, i64 width) {
#pragma omp simd
  for (i64 c = 0; c < width; ++c) y[c] = x[c] * rstd * (gain[c] + offset);
}

template <class T>
void rms_backward_row(T* dx, T* d_gain, const T* dy, const T* x, T rstd, const T* gain, T offset, i64 width) {
  T dot = 0;  // of the gradient of the normalised row with the row
#pragma omp simd reduction(+ : dot)
  for (i64 c = 0; c < width; ++c) dot += dy[c] * (gain[c] + offset) * x[c];
  const T pull = dot * rstd * rstd * rstd / static_cast<T>(width);
#pragma omp simd
  for (i64 c = 0; c < width; ++c) {
    const T dc = dy[c], xc = x[c];
    dx[c] += rstd * dc * (gain[c] + offset) - xc * pull;
    d_gain[c] += dc * xc * rstd;
  }
}

// --- layer norm ---

template <class T>
void normalise_row(T* y, const T* x, T mean, T rstd, const T* gain, const T* bias, i64 width) {
#pragma omp simd
  for (i64 c = 0; c < width; ++c) y[c] = (x[c] - mean) * rstd * gain[c] + bias[c];
}

template <class T>
void layer_backward_row(T* dx, T* d_gain, T* d_bias, const T* dy, const T* x, T mean, T rstd, const T* gain,
                        i64 width) {
  T sum = 0, dot = 0;  // of the gradient of the normalised row: with ones, and with the normalised row
#pragma omp simd reduction(+ : sum, dot)
  for (i64 c = 0; c < width; ++c) {
    const T g = dy[c] * gain[c];
    sum += g;
    dot += g * ((x[c] - mean) * rstd);
  }
  const T mean_sum = sum / static_cast<T>(width), mean_dot = dot / static_cast<T>(width);
#pragma omp simd
  for (i64 c = 0; c < width; ++c) {
    const T dc = dy[c], normal = (x[c] - mean) * rstd;
    dx[c] += rstd * (dc * gain[c] - mean_sum - normal * mean_dot);
    d_gain[c] += dc * normal;
    d_bias[c] += dc;
  }
}

struct PartialSums {};

// Calls row(r, partial) for each row, where `partial` [vectors * width] belongs to the row's block; then adds
// the partial vectors to targets[v] [width], block by block. A target may be null.
template <class T, int kVectors, class F>
void sum_over_rows(i64 rows, i64 width, T* const (&targets)[kVectors], F&& row) {
  const RowBlocks blocks(rows);
  T* const partials = static_cast<T*>(
      thread_buffer<PartialSums>(blocks.count * kVectors * width * static_cast<i64>(sizeof(T))));
  parallel_items(blocks.count, rows * width, [&](i64 b) {
    T* partial = partials + b * kVectors * width;
    std::fill(partial, partial + kVectors * width, T(0));
    for (i64 r = blocks.first(b); r < blocks.last(b); ++r) row(r, partial);
  });
  for (int v = 0; v < kVectors; ++v) {
    if (targets[v] == nullptr) continue;
    T* const target = targets[v];
    for (i64 b = 0; b < blocks.count; ++b) {
      const T* partial = partials + (b * kVectors + v) * width;
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
    T *const out = y.host<T>(), *const saved = rstd.host<T>();
    const T *const in = x.host<T>(), *const scale = gain.host<T>();
    parallel_items(rows, rows * width, [&](i64 r) {
      const T* v = in + r * width;
      T squares = 0;
#pragma omp simd reduction(+ : squares)
      for (i64 c = 0; c < width; ++c) squares += v[c] * v[c];
      saved[r] = T(1) / std::sqrt(squares / static_cast<T>(width) + static_cast<T>(eps));
      scale_row(out + r * width, v, saved[r], scale, static_cast<T>(offset), width);
    });
  });
}

void rms_norm_again(Tensor y, Tensor x, Tensor rstd, Tensor gain, double offset) {
  const i64 rows = x.rows(), width = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* const out = y.host<T>();
    const T *const in = x.host<T>(), *const saved = rstd.host<T>(), *const scale = gain.host<T>();
    parallel_items(rows, rows * width, [&](i64 r) {
      scale_row(out + r * width, in + r * width, saved[r], scale, static_cast<T>(offset), width);
    });
  });
}

void rms_norm_backward(Tensor dx, Tensor d_gain, Tensor dy, Tensor x, Tensor rstd, Tensor gain,
                       double offset) {
  const i64 rows = x.rows(), width = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* const out = dx.host<T>();
    const T *const upstream = dy.host<T>(), *const in = x.host<T>(), *const saved = rstd.host<T>(),
                   *const scale = gain.host<T>();
    T* const targets[1] = {d_gain ? d_gain.host<T>() : nullptr};
    sum_over_rows<T, 1>(rows, width, targets, [&](i64 r, T* partial) {
      rms_backward_row(out + r * width, partial, upstream + r * width, in + r * width, saved[r], scale,
                       static_cast<T>(offset), width);
    });
  });
}

void layer_norm(Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor gain, Tensor bias, double eps) {
  const i64 rows = x.rows(), width = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *const out = y.host<T>(), *const means = mean.host<T>(), *const saved = rstd.host<T>();
    const T *const in = x.host<T>(), *const scale = gain.host<T>(), *const shift = bias.host<T>();
    parallel_items(rows, rows * width, [&](i64 r) {
      const T* v = in + r * width;
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (i64 c = 0; c < width; ++c) sum += v[c];
      const T m = sum / static_cast<T>(width);
      T squares = 0;
#pragma omp simd reduction(+ : squares)
      for (i64 c = 0; c < width; ++c) squares += (v[c] - m) * (v[c] - m);
      means[r] = m;
      saved[r] = T(1) / std::sqrt(squares / static_cast<T>(width) + static_cast<T>(eps));
      normalise_row(out + r * width, v, m, saved[r], scale, shift, width);
    });
  });
}

void layer_norm_again(Tensor y, Tensor x, Tensor mean, Tensor rstd, Tensor gain, Tensor bias) {
  const i64 rows = x.rows(), width = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* const out = y.host<T>();
    const T *const in = x.host<T>(), *const means = mean.host<T>(), *const saved = rstd.host<T>();
    const T *const scale = gain.host<T>(), *const shift = bias.host<T>();
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
    T* const out = dx.host<T>();
    const T *const upstream = dy.host<T>(), *const in = x.host<T>(), *const means = mean.host<T>();
    const T *const saved = rstd.host<T>(), *const scale = gain.host<T>();
    T* const targets[2] = {d_gain ? d_gain.host<T>() : nullptr, d_bias ? d_bias.host<T>() : nullptr};
    sum_over_rows<T, 2>(rows, width, targets, [&](i64 r, T* partial) {
      layer_backward_row(out + r * width, partial, partial + width, upstream + r * width, in + r * width,
                         means[r], saved[r], scale, width);
    });
  });
}

}  // namespace longsight::ops::host
