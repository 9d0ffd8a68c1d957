#include "model/layers.h"

#include "runtime/ops/norm.h"
#include "runtime/ops/row_scale.h"

namespace longsight::model {
namespace {

Tensor joined_bias(const LinearIds& ids, const ParameterRegistry& p) {
  return ids.bias == kNone ? Tensor() : p.joined_value(ids.bias, ids.parts);
}

Tensor grad_or_nothing(ParameterId id, const ParameterRegistry& p) {
  return id != kNone && p.has_grad(id) ? p.grad(id) : Tensor();
}

// A vector [N] as N rows of one column.
Matrix as_column(const Tensor& vector) {
  return vector ? Matrix(vector.data(), vector.dtype(), vector.elements(), 1, 1) : Matrix();
}

Matrix as_matrix(const Tensor& weight) {
  return weight ? Matrix(weight) : Matrix();
}

// The weights with their layer scale, in scratch.
Tensor scaled_weight(const LinearIds& ids, const Workspace& w) {
  const Tensor value = w.parameters.joined_value(ids.weight, ids.parts);
  if (ids.scale == kNone) return value;
  const Tensor scaled = w.scratch.take(value.dtype(), value.shape(), "scaled weight");
  ops::scale_rows(scaled, value, w.parameters.value(ids.scale), w.stream);
  return scaled;
}

Tensor scaled_bias(const LinearIds& ids, const Workspace& w) {
  const Tensor value = joined_bias(ids, w.parameters);
  if (ids.scale == kNone || !value) return value;
  const Tensor scaled = w.scratch.take(value.dtype(), value.shape(), "scaled bias");
  ops::scale_rows(as_column(scaled), as_column(value), w.parameters.value(ids.scale), w.stream);
  return scaled;
}

// The gradient of s * W is one product; that of s and of W follows from it.
void scaled_backward_weight(Matrix dy, Matrix x, const LinearIds& ids, const Workspace& w) {
  const ParameterRegistry& p = w.parameters;
  check(ids.parts == 1, "a layer scale behind {} joined matrices", ids.parts);
  if (!any_grad(ids, p)) return;
  const ArenaScope scope(w.scratch);
  const Tensor weight = p.value(ids.weight), scale = p.value(ids.scale);
  const Tensor d_weight = w.scratch.take(weight.dtype(), weight.shape(), "gradient of scaled weight");
  fill_zero(d_weight, w.stream);
  Tensor d_bias;
  if (ids.bias != kNone) {
    d_bias = w.scratch.take(weight.dtype(), {weight.rows()}, "gradient of scaled bias");
    fill_zero(d_bias, w.stream);
  }
  ops::linear_backward_weight(d_weight, d_bias, dy, x, w.stream);
  const Tensor d_scale = grad_or_nothing(ids.scale, p);
  ops::scale_rows_backward(as_matrix(grad_or_nothing(ids.weight, p)), d_scale, d_weight, weight, scale,
                           w.stream);
  if (d_bias) {
    ops::scale_rows_backward(as_column(grad_or_nothing(ids.bias, p)), d_scale, as_column(d_bias),
                             as_column(p.value(ids.bias)), scale, w.stream);
  }
}

}  // namespace

void linear(Matrix y, Matrix x, const LinearIds& ids, const Workspace& w, ops::LinearOptions options) {
  check(ids.scale == kNone || options.activation == ops::Activation::none,
        "an activation behind a layer scale");
  const ArenaScope scope(w.scratch);
  options.bias = scaled_bias(ids, w);
  ops::linear(y, x, scaled_weight(ids, w), options, w.stream);
}

void linear_backward_weight(Matrix dy, Matrix x, const LinearIds& ids, const Workspace& w) {
  const ParameterRegistry& p = w.parameters;
  if (ids.scale != kNone) {
    scaled_backward_weight(dy, x, ids, w);
    return;
  }
  const bool whole_weight = p.all_have_grad(ids.weight, ids.parts);
  const bool whole_bias = ids.bias == kNone || p.all_have_grad(ids.bias, ids.parts);
  if (whole_weight && whole_bias) {
    const Tensor db = ids.bias == kNone ? Tensor() : p.joined_grad(ids.bias, ids.parts);
    ops::linear_backward_weight(p.joined_grad(ids.weight, ids.parts), db, dy, x, w.stream);
    return;
  }
  // Some of the joined matrices are frozen: one product for each of the others.
  i64 column = 0;
  for (i64 part = 0; part < ids.parts; ++part) {
    const i64 rows = p[ids.weight + part].shape[0];
    const Tensor dw = grad_or_nothing(ids.weight + part, p);
    const Tensor db = ids.bias == kNone ? Tensor() : grad_or_nothing(ids.bias + part, p);
    if (dw || db) ops::linear_backward_weight(dw, db, dy.columns(column, rows), x, w.stream);
    column += rows;
  }
}

void linear_backward_input(Matrix dx, Matrix dy, const LinearIds& ids, ops::Write write, const Workspace& w) {
  const ArenaScope scope(w.scratch);
  ops::linear_backward_input(dx, dy, scaled_weight(ids, w), write, w.stream);
}

bool any_grad(const LinearIds& ids, const ParameterRegistry& p) {
  if (ids.scale != kNone && p.has_grad(ids.scale)) return true;
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
    ops::rms_norm(y, rstd, x, p.value(ids.gain), eps, stream, ids.offset());
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
    ops::rms_norm_again(y, x, rstd, p.value(ids.gain), stream, ids.offset());
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
    ops::rms_norm_backward(dx, grad_or_nothing(ids.gain, p), dy, x, rstd, p.value(ids.gain), stream,
                           ids.offset());
  } else {
    ops::layer_norm_backward(dx, grad_or_nothing(ids.gain, p), grad_or_nothing(ids.bias, p), dy, x,
                             f.mean.row_range(first, n), rstd, p.value(ids.gain), stream);
  }
}

bool any_grad(const NormIds& ids, const ParameterRegistry& p) {
  return ids.present() && (p.has_grad(ids.gain) || (ids.bias != kNone && p.has_grad(ids.bias)));
}

}  // namespace longsight::model
