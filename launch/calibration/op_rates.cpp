#include "launch/calibration/op_rates.h"

#include <cmath>
#include <span>

#include "launch/measure.h"
#include "runtime/base/clock.h"
#include "runtime/base/philox.h"
#include "runtime/device/trace.h"
#include "runtime/ops/activation.h"
#include "runtime/ops/attention.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/norm.h"
#include "runtime/tensor/arena.h"
#include "runtime/tensor/host_values.h"

namespace longsight::launch {
namespace {

using planning::Rate;

// A few calls of one kind: those of a layer's forward and backward. Tensors are taken from the arena that it
// is made with, of a trace or of the host.
class Calls {
 public:
  Calls(Arena& arena, DType type) : arena_(arena), type_(type) {}

  Tensor take(Shape shape) { return take_of(type_, shape); }
  Tensor take_sums(Shape shape) { return take_of(statistics_of(type_), shape); }
  void fill() const {
    const Philox random(1, "calibration");
    for (const Tensor& x : taken_) {
      std::vector<float> values;
      for (i64 i = 0; i < x.elements(); ++i)
        values.push_back(static_cast<float>(random.uniform(static_cast<u64>(i)) - 0.5));
      const OwnedTensor exact(DType::F32, x.shape());
      write_values<float>(exact, values, {});
      copy(x, exact, {});
    }
  }

 protected:
  Arena& arena_;

 private:
  Tensor take_of(DType type, Shape shape) {
    taken_.push_back(arena_.take(type, shape, "calibration"));
    return taken_.back();
  }

  DType type_;
  std::vector<Tensor> taken_;
};

// size x size matrices.
class Products : public Calls {
 public:
  Products(Arena& arena, DType type, i64 size)
      : Calls(arena, type),
        x(take({size, size})),
        weight(take({size, size})),
        y(take({size, size})),
        dx(take({size, size})),
        dw(take_sums({size, size})) {}
  void run(Stream stream) const {
    ops::linear(y, x, weight, {}, stream);
    ops::linear_backward_input(dx, y, weight, ops::Write::overwrite, stream);
    ops::linear_backward_weight(dw, {}, y, x, stream);
  }

 private:
  Tensor x, weight, y, dx, dw;
};

// Four heads of 64 over `tokens` of one sample, causal.
class CausalAttention : public Calls {
 public:
  CausalAttention(Arena& arena, DType type, i64 tokens)
      : Calls(arena, type),
        q(heads(tokens)),
        k(heads(tokens)),
        v(heads(tokens)),
        o(heads(tokens)),
        dq(heads(tokens)),
        dk(heads(tokens)),
        dv(heads(tokens)),
        lse(take_sums({tokens, kHeads})),
        delta(take_sums({tokens, kHeads})),
        span({0, tokens, 0, tokens, 0, true}) {}
  void run(Stream stream) const {
    const ops::AttentionProblem problem{.spans = {&span, 1}, .heads = {0, 1, 0}, .scale = 0.125};
    ops::attention(o, lse, q, k, v, problem, arena_, stream);
    ops::attention_backward(dq, dk, dv, o, delta, lse, q, k, v, problem, arena_, stream);
  }

 private:
  static constexpr i64 kHeads = 4, kWidth = 64;
  Tensor heads(i64 tokens) { return take({tokens, kHeads, kWidth}); }

  Tensor q, k, v, o, dq, dk, dv, lse, delta;
  ops::AttentionSpan span;
};

// A norm and an activation, forward and backward, over rows of 256.
class RowPasses : public Calls {
 public:
  RowPasses(Arena& arena, DType type, i64 rows)
      : Calls(arena, type),
        x(take({rows, 256})),
        y(take({rows, 256})),
        dx(take({rows, 256})),
        rstd(take_sums({rows})),
        gain(take({256})),
        d_gain(take_sums({256})) {}
  void run(Stream stream) const {
    ops::rms_norm(y, rstd, x, gain, 1e-5, stream);
    ops::activation(y, x, ops::Activation::silu, stream);
    ops::activation_backward(y, y, x, ops::Activation::silu, stream);
    ops::rms_norm_backward(dx, d_gain, y, x, rstd, gain, stream);
  }

 private:
  Tensor x, y, dx, rstd, gain, d_gain;
};

template <class Kind>
Rate rate_of(DType type, i64 size, double seconds) {
  Trace trace;
  Arena traced("traced", Backend::trace);
  Kind(traced, type, size).run(trace.stream());
  const double work = trace.flops() > 0 ? trace.flops() : trace.bytes();

  Arena host("calibration");
  const Kind calls(host, type, size);
  calls.fill();
  std::vector<double> taken;
  for (double begin = 0; taken.size() < 4 || steady_seconds() - begin < seconds;) {
    const double start = steady_seconds();
    calls.run({});
    taken.push_back(steady_seconds() - start);
    if (taken.size() == 1) begin = steady_seconds();  // the first touches its memory
  }
  taken.erase(taken.begin());
  return {.size = work / static_cast<double>(trace.calls().size()), .rate = work / median(taken)};
}

template <class Kind>
std::vector<Rate> rates_of(DType type, std::initializer_list<i64> sizes, double seconds_each) {
  std::vector<Rate> rates;
  for (const i64 size : sizes) rates.push_back(rate_of<Kind>(type, size, seconds_each));
  return rates;
}

}  // namespace

std::vector<Rate> gemm_rates(DType type, double seconds_each) {
  return rates_of<Products>(type, {32, 64, 128, 256, 512, 1024}, seconds_each);
}

std::vector<Rate> attention_rates(DType type, double seconds_each) {
  return rates_of<CausalAttention>(type, {32, 128, 512, 2048}, seconds_each);
}

std::vector<Rate> copy_rates(double seconds_each) {
  return rates_of<RowPasses>(DType::F32, {8, 64, 512, 4096, 32768}, seconds_each);
}

}  // namespace longsight::launch
