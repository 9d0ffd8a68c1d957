#include "model/layers.h"

#include "runtime/ops/norm.h"

namespace longsight::model {
namespace {

Tensor joined_bias(const LinearIds& ids, const ParameterRegistry& p) {
  return ids.bias == kNone ? Tensor() : p.joined_value(ids.bias, ids.parts);
}

Tensor grad_or_nothing(ParameterId id, const ParameterRegistry& p) {
  return id != kNone && p.has_grad(id) ? p.grad(id) : Tensor();
}

}  // namespace

void linear(Matrix y, Matrix x, const LinearIds& ids, const ParameterRegistry& p, Stream stream,
            ops::LinearOptions options) {
  options.bias = joined_bias(ids, p);
  ops::linear(y, x, p.joined_value(ids.weight, ids.parts), options, stream);
}

void linear_backward_weight(Matrix dy, Matrix x, const LinearIds& ids, const ParameterRegistry& p,
                            Stream stream) {
  const bool whole_weight = p.all_have_grad(ids.weight, ids.parts);
  const bool whole_bias = ids.bias == kNone || p.all_have_grad(ids.bias, ids.parts);
  if (whole_weight && whole_bias) {
    const Tensor db = ids.bias == kNone ? Tensor() : p.joined_grad(ids.bias, ids.parts);
    ops::linear_backward_weight(p.joined_grad(ids.weight, ids.parts), db, dy, x, stream);
    return;
  }
  // Some of the joined matrices are frozen: one product for each of the others.
  i64 column = 0;
  for (i64 part = 0; part < ids.parts; ++part) {
    const i64 rows = p[ids.weight + part].shape[0];
    const Tensor dw = grad_or_nothing(ids.weight + part, p);
    const Tensor db = ids.bias == kNone ? Tensor() : grad_or_nothing(ids.bias + part, p);
    if (dw || db) ops::linear_backward_weight(dw, db, dy.columns(column, rows), x, stream);
    column += rows;
  }
}

void linear_backward_input(Matrix dx, Matrix dy, const LinearIds& ids, ops::Write write,
                           const ParameterRegistry& p, Stream stream) {
  ops::linear_backward_input(dx, dy, p.joined_value(ids.weight, ids.parts), write, stream);
}

bool any_grad(const LinearIds& ids, const ParameterRegistry& p) {
  for (i64 part = 0; part < ids.parts; ++part) {
    if (p.has_grad(ids.weight + part) || (ids.bias != kNone && p.has_grad(ids.bias + part))) return true;
  }
  return false;
}

NormFrame norm_frame(Tensor x, const NormIds& ids, Arena& saved) {
  NormFrame frame{.x = x, .mean = {}, .rstd = saved.take(x.dtype(), {x.rows()}, "norm statistics")};
  if (ids.bias != kNone) frame.mean = saved.take(x.dtype(), {x.rows()}, "norm statistics");
  return frame;
}

void norm_rows(Tensor y, const NormFrame& f, i64 first, const NormIds& ids, double eps,
               const ParameterRegistry& p, Stream stream) {
  const i64 n = y.rows();
  const Tensor x = f.x.row_range(first, n), rstd = f.rstd.row_range(first, n);
  if (ids.bias == kNone) {
    ops::rms_norm(y, rstd, x, p.value(ids.gain), eps, stream);
  } else {
    ops::layer_norm(y, f.mean.row_range(first, n), rstd, x, p.value(ids.gain), p.value(ids.bias), eps,
                    stream);
  }
}

void norm_again(Tensor y, const NormFrame& f, i64 first, const NormIds& ids, const ParameterRegistry& p,
                Stream stream) {
  const i64 n = y.rows();
  const Tensor x = f.x.row_range(first, n), rstd = f.rstd.row_range(first, n);
  if (ids.bias == kNone) {
    ops::rms_norm_again(y, x, rstd, p.value(ids.gain), stream);
  } else {
    ops::layer_norm_again(y, x, f.mean.row_range(first, n), rstd, p.value(ids.gain), p.value(ids.bias),
                          stream);
  }
}

void norm_backward(Tensor dx, Tensor dy, const NormFrame& f, i64 first, const NormIds& ids,
                   const ParameterRegistry& p, Stream stream) {
  const i64 n = dx.rows();
  const Tensor x = f.x.row_range(first, n), rstd = f.rstd.row_range(first, n);
  if (ids.bias == kNone) {
    ops::rms_norm_backward(dx, grad_or_nothing(ids.gain, p), dy, x, rstd, p.value(ids.gain), stream);
  } else {
    ops::layer_norm_backward(dx, grad_or_nothing(ids.gain, p), grad_or_nothing(ids.bias, p), dy, x,
                             f.mean.row_range(first, n), rstd, p.value(ids.gain), stream);
  }
}

bool any_grad(const NormIds& ids, const ParameterRegistry& p) {
  return p.has_grad(ids.gain) || (ids.bias != kNone && p.has_grad(ids.bias));
}

}  // namespace longsight::model
