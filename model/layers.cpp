#include "model/layers.h"

#include "runtime/ops/norm.h"
#include "runtime/ops/row_scale.h"

namespace longsight::model {
namespace {

Tensor joined_bias(const LinearIds& ids, const ParameterRegistry& p) {
  return ids.bias == kNone ? Tensor() : p.joined_weight(ids.bias, ids.parts);
}

Tensor grad_or_nothing(ParameterId id, const ParameterRegistry& p) {
  return id != kNone && p.has_grad(id) ? p.grad(id) : Tensor();
}

// A vector [N] as N rows of one column.
Matrix as_column(const Tensor& vector) {
  return vector ? Matrix(vector.data(), vector.dtype(), vector.elements(), 1, 1, vector.backend()) : Matrix();
}

Matrix as_matrix(const Tensor& weight) {
  return weight ? Matrix(weight) : Matrix();
}

// The weights with their layer scale, in scratch.
Tensor scaled_weight(const LinearIds& ids, const Workspace& w) {
  const Tensor value = w.parameters.joined_weight(ids.weight, ids.parts);
  if (ids.scale == kNone) return value;
  const Tensor scaled = w.scratch.take(value.dtype(), value.shape(), "scaled weight");
  ops::scale_rows(scaled, value, w.parameters.weight(ids.scale), w.stream);
  return scaled;
}

Tensor scaled_bias(const LinearIds& ids, const Workspace& w) {
  const Tensor value = joined_bias(ids, w.parameters);
  if (ids.scale == kNone || !value) return value;
  const Tensor scaled = w.scratch.take(value.dtype(), value.shape(), "scaled bias");
  ops::scale_rows(as_column(scaled), as_column(value), w.parameters.weight(ids.scale), w.stream);
  return scaled;
}

// The gradient of s * W is one product; that of s and of W follows from it.
void scaled_backward_weight(Matrix dy, Matrix x, const LinearIds& ids, const Workspace& w) {
  const ParameterRegistry& p = w.parameters;
  check(ids.parts == 1, "a layer scale behind {} joined matrices", ids.parts);
  const ArenaScope scope(w.scratch);
  const Tensor weight = p.weight(ids.weight), scale = p.weight(ids.scale);
  const DType sums = p.precision().gradients;
  const Tensor d_weight = w.scratch.take(sums, weight.shape(), "gradient of scaled weight");
  fill_zero(d_weight, w.stream);
  Tensor d_bias;
  if (ids.bias != kNone) {
    d_bias = w.scratch.take(sums, {weight.rows()}, "gradient of scaled bias");
    fill_zero(d_bias, w.stream);
  }
  ops::linear_backward_weight(d_weight, d_bias, dy, x, w.stream);
  const Tensor d_scale = grad_or_nothing(ids.scale, p);
  ops::scale_rows_backward(as_matrix(grad_or_nothing(ids.weight, p)), d_scale, d_weight, weight, scale,
                           w.stream);
  if (d_bias) {
    ops::scale_rows_backward(as_column(grad_or_nothing(ids.bias, p)), d_scale, as_column(d_bias),
                             as_column(p.weight(ids.bias)), scale, w.stream);
  }
}

// ---- adapters: s * B A x beside W x, part by part

// f(adapter, first column of the part, its columns) for the parts that have one.
template <class F>
void each_adapter(const LinearIds& ids, const ParameterRegistry& p, F&& f) {
  i64 column = 0;
  for (std::size_t part = 0; part < ids.adapters.size(); ++part) {
    const i64 columns = p[ids.weight + static_cast<i64>(part)].shape[0];
    if (ids.adapters[part].present()) f(ids.adapters[part], column, columns);
    column += columns;
  }
}

// B with the layer scale of its layer, in scratch.
Tensor scaled_b(const AdapterIds& adapter, const LinearIds& ids, const Workspace& w) {
  const Tensor b = w.parameters.weight(adapter.b);
  if (ids.scale == kNone) return b;
  const Tensor scaled = w.scratch.take(b.dtype(), b.shape(), "scaled adapter");
  ops::scale_rows(scaled, b, w.parameters.weight(ids.scale), w.stream);
  return scaled;
}

// s * A x [M, rank], in scratch.
Tensor adapter_middle(Matrix x, const AdapterIds& adapter, const Workspace& w) {
  const Tensor a = w.parameters.weight(adapter.a);
  const Tensor middle = w.scratch.take(x.dtype, {x.rows, a.rows()}, "adapter middle");
  ops::linear(middle, x, a, {}, w.stream);
  ops::scale_matrix(middle, adapter.scale, w.stream);
  return middle;
}

// s * dy B [M, rank], in scratch.
Tensor adapter_middle_gradient(Matrix dy, const AdapterIds& adapter, const LinearIds& ids,
                               const Workspace& w) {
  const Tensor b = scaled_b(adapter, ids, w);
  const Tensor d_middle = w.scratch.take(dy.dtype, {dy.rows, b.row_size()}, "gradient of adapter middle");
  ops::linear_backward_input(d_middle, dy, b, ops::Write::overwrite, w.stream);
  ops::scale_matrix(d_middle, adapter.scale, w.stream);
  return d_middle;
}

void adapters_forward(Matrix y, Matrix x, const LinearIds& ids, const Workspace& w) {
  each_adapter(ids, w.parameters, [&](const AdapterIds& adapter, i64 column, i64 columns) {
    const ArenaScope scope(w.scratch);
    const Tensor middle = adapter_middle(x, adapter, w);
    const Matrix part = y.columns(column, columns);
    ops::LinearOptions add;
    add.residual = part;
    ops::linear(part, middle, scaled_b(adapter, ids, w), add, w.stream);
  });
}

void adapters_backward_weight(Matrix dy, Matrix x, const LinearIds& ids, const Workspace& w) {
  const ParameterRegistry& p = w.parameters;
  each_adapter(ids, p, [&](const AdapterIds& adapter, i64 column, i64 columns) {
    const ArenaScope scope(w.scratch);
    const Matrix d_part = dy.columns(column, columns);
    if (p.has_grad(adapter.b)) {
      const Tensor b = p.weight(adapter.b), middle = adapter_middle(x, adapter, w);
      if (ids.scale == kNone) {
        ops::linear_backward_weight(p.grad(adapter.b), {}, d_part, middle, w.stream);
      } else {
        const Tensor d_scaled =
            w.scratch.take(p.precision().gradients, b.shape(), "gradient of scaled adapter");
        fill_zero(d_scaled, w.stream);
        ops::linear_backward_weight(d_scaled, {}, d_part, middle, w.stream);
        ops::scale_rows_backward(p.grad(adapter.b), grad_or_nothing(ids.scale, p), d_scaled, b,
                                 p.weight(ids.scale), w.stream);
      }
    }
    if (p.has_grad(adapter.a)) {
      const Tensor d_middle = adapter_middle_gradient(d_part, adapter, ids, w);
      ops::linear_backward_weight(p.grad(adapter.a), {}, d_middle, x, w.stream);
    }
  });
}

void adapters_backward_input(Matrix dx, Matrix dy, const LinearIds& ids, const Workspace& w) {
  each_adapter(ids, w.parameters, [&](const AdapterIds& adapter, i64 column, i64 columns) {
    const ArenaScope scope(w.scratch);
    const Tensor d_middle = adapter_middle_gradient(dy.columns(column, columns), adapter, ids, w);
    ops::linear_backward_input(dx, d_middle, w.parameters.weight(adapter.a), ops::Write::add, w.stream);
  });
}

bool base_has_grad(const LinearIds& ids, const ParameterRegistry& p) {
  if (ids.scale != kNone && p.has_grad(ids.scale)) return true;
  for (i64 part = 0; part < ids.parts; ++part) {
    if (p.has_grad(ids.weight + part) || (ids.bias != kNone && p.has_grad(ids.bias + part))) return true;
  }
  return false;
}

// dW and db of the weights themselves.
void base_backward_weight(Matrix dy, Matrix x, const LinearIds& ids, const Workspace& w) {
  const ParameterRegistry& p = w.parameters;
  if (!base_has_grad(ids, p)) return;
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

}  // namespace

void linear(Matrix y, Matrix x, const LinearIds& ids, const Workspace& w, ops::LinearOptions options) {
  check(ids.scale == kNone || options.activation == ops::Activation::none,
        "an activation behind a layer scale");
  const ArenaScope scope(w.scratch);
  options.bias = scaled_bias(ids, w);
  // What goes into the activation is not complete before the adapters have been added.
  const ops::Activation activation = options.activation;
  const Matrix activated = options.activated;
  if (!ids.adapters.empty()) {
    options.activation = ops::Activation::none;
    options.activated = {};
  }
  ops::linear(y, x, scaled_weight(ids, w), options, w.stream);
  if (ids.adapters.empty()) return;
  adapters_forward(y, x, ids, w);
  if (activation != ops::Activation::none) ops::activation(activated, y, activation, w.stream);
}

void linear_backward_weight(Matrix dy, Matrix x, const LinearIds& ids, const Workspace& w) {
  base_backward_weight(dy, x, ids, w);
  adapters_backward_weight(dy, x, ids, w);
}

void linear_backward_input(Matrix dx, Matrix dy, const LinearIds& ids, ops::Write write, const Workspace& w) {
  const ArenaScope scope(w.scratch);
  ops::linear_backward_input(dx, dy, scaled_weight(ids, w), write, w.stream);
  adapters_backward_input(dx, dy, ids, w);
}

bool any_grad(const LinearIds& ids, const ParameterRegistry& p) {
  if (!ids.present()) return false;  // a language model alone has no connector
  for (const AdapterIds& adapter : ids.adapters) {
    if (adapter.present() && (p.has_grad(adapter.a) || p.has_grad(adapter.b))) return true;
  }
  return base_has_grad(ids, p);
}

NormFrame norm_frame(Tensor x, const NormIds& ids, Arena& saved) {
  const DType type = statistics_of(x.dtype());
  NormFrame frame{.x = x, .mean = {}, .rstd = saved.take(type, {x.rows()}, "norm statistics")};
  if (ids.bias != kNone) frame.mean = saved.take(type, {x.rows()}, "norm statistics");
  return frame;
}

void norm_rows(Tensor y, const NormFrame& f, i64 first, const NormIds& ids, double eps,
               const ParameterRegistry& p, Stream stream) {
  const i64 n = y.rows();
  const Tensor x = f.x.row_range(first, n), rstd = f.rstd.row_range(first, n);
  if (ids.bias == kNone) {
    ops::rms_norm(y, rstd, x, p.weight(ids.gain), eps, stream, ids.offset());
  } else {
    ops::layer_norm(y, f.mean.row_range(first, n), rstd, x, p.weight(ids.gain), p.weight(ids.bias), eps,
                    stream);
  }
}

void norm_again(Tensor y, const NormFrame& f, i64 first, const NormIds& ids, const ParameterRegistry& p,
                Stream stream) {
  const i64 n = y.rows();
  const Tensor x = f.x.row_range(first, n), rstd = f.rstd.row_range(first, n);
  if (ids.bias == kNone) {
    ops::rms_norm_again(y, x, rstd, p.weight(ids.gain), stream, ids.offset());
  } else {
    ops::layer_norm_again(y, x, f.mean.row_range(first, n), rstd, p.weight(ids.gain), p.weight(ids.bias),
                          stream);
  }
}

void norm_backward(Tensor dx, Tensor dy, const NormFrame& f, i64 first, const NormIds& ids,
                   const ParameterRegistry& p, Stream stream) {
  const i64 n = dx.rows();
  const Tensor x = f.x.row_range(first, n), rstd = f.rstd.row_range(first, n);
  if (ids.bias == kNone) {
    ops::rms_norm_backward(dx, grad_or_nothing(ids.gain, p), dy, x, rstd, p.weight(ids.gain), stream,
                           ids.offset());
  } else {
    ops::layer_norm_backward(dx, grad_or_nothing(ids.gain, p), grad_or_nothing(ids.bias, p), dy, x,
                             f.mean.row_range(first, n), rstd, p.weight(ids.gain), stream);
  }
}

bool any_grad(const NormIds& ids, const ParameterRegistry& p) {
  return ids.present() && (p.has_grad(ids.gain) || (ids.bias != kNone && p.has_grad(ids.bias)));
}

}  // namespace longsight::model
