#include "model/connector.h"

#include "runtime/ops/rows.h"

namespace longsight::model {
namespace {

struct ConnectorSaved {
  NormFrame row_norm;     // of the chosen rows [F * merged, L * C_vision]
  NormFrame joined_norm;  // of the joined rows [F, merged * L * C_vision]
  Tensor input;           // of the first linear layer; where a norm makes it, it is made again
  Tensor before;          // [F, middle]: into the activation
};

}  // namespace

Connector::Connector(const ModelConfig& config, const ConnectorIds& ids)
    : vision_width_(config.vision.width),
      text_width_(config.text.width),
      middle_(config.connector.middle),
      merged_(config.vision.merged()),
      row_norm_eps_(config.connector.row_norm_eps),
      joined_norm_eps_(config.connector.joined_norm_eps),
      layers_(config.connector.feature_layers),
      activation_(config.connector.activation),
      ids_(ids) {}

// ---- forward

Tensor Connector::forward(const std::vector<Tensor>& states, const IndexList& block_rows,
                          const Workspace& w) const {
  const Gathered parameters(Gathered::Need::values, {ids_.first.weight}, w);
  const DType dtype = w.parameters.precision().activations;
  const i64 rows = exact_div(block_rows.size(), merged_), joined_width = merged_ * chosen_width();
  Tensor features = w.saved.take(dtype, {rows, text_width_}, "connector output");
  Tensor x = w.saved.take(dtype, {rows * merged_, chosen_width()}, "connector input");
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Matrix columns = Matrix(x).columns(static_cast<i64>(l) * vision_width_, vision_width_);
    ops::gather_rows(columns, states[static_cast<std::size_t>(layers_[l])], block_rows, w.stream);
  }
  ConnectorSaved saved;
  if (ids_.row_norm.present()) {
    saved.row_norm = norm_frame(x, ids_.row_norm, w.saved);
    x = w.saved.take(dtype, x.shape(), "connector rows, normed");
    norm_rows(x, saved.row_norm, 0, ids_.row_norm, row_norm_eps_, w.parameters, w.stream);
  }
  x = x.reshape({rows, joined_width});
  if (ids_.joined_norm.present()) {
    saved.joined_norm = norm_frame(x, ids_.joined_norm, w.saved);
    x = w.saved.take(dtype, x.shape(), "connector blocks, normed");
    norm_rows(x, saved.joined_norm, 0, ids_.joined_norm, joined_norm_eps_, w.parameters, w.stream);
  }
  saved.input = x;
  if (!ids_.second.present()) {
    linear(features, x, ids_.first, w);
  } else {
    saved.before = w.saved.take(dtype, {rows, middle_}, "connector middle");
    const ArenaScope scope(w.scratch);
    Tensor activated = w.scratch.take(dtype, {rows, middle_}, "connector activated");
    linear(saved.before, x, ids_.first, w, {.activation = activation_, .activated = activated});
    linear(features, activated, ids_.second, w);
  }
  w.frames.push(saved);
  return features;
}

// ---- backward

Tensor Connector::backward(Tensor d_features, bool needs_input, const Workspace& w) const {
  const auto saved = w.frames.pop<ConnectorSaved>();
  const DType dtype = d_features.dtype();
  const i64 rows = d_features.rows();
  const bool below_first = needs_input || model::any_grad(ids_.row_norm, w.parameters) ||
                           model::any_grad(ids_.joined_norm, w.parameters);
  Tensor d_chosen;
  if (below_first)
    d_chosen = w.scratch.take(dtype, {rows * merged_, chosen_width()}, "gradient of connector input");
  const ArenaScope scope(w.scratch);
  Gathered parameters(Gathered::Need::both, {ids_.first.weight}, w);
  Tensor d_middle = d_features;
  if (ids_.second.present()) {
    Tensor activated = w.scratch.take(dtype, {rows, middle_}, "connector activated");
    d_middle = w.scratch.take(dtype, {rows, middle_}, "gradient of connector middle");
    ops::activation(activated, saved.before, activation_, w.stream);
    linear_backward_weight(d_features, activated, ids_.second, w);
    linear_backward_input(d_middle, d_features, ids_.second, ops::Write::overwrite, w);
    ops::activation_backward(d_middle, d_middle, saved.before, activation_, w.stream);
  }
  linear_backward_weight(d_middle, saved.input, ids_.first, w);
  if (!below_first) {
    parameters.send_gradients();
    return {};
  }

  // What comes out of a norm's backward is added to: each goes into a fresh tensor of zeros.
  Tensor d = d_chosen.reshape(saved.input.shape());
  linear_backward_input(d, d_middle, ids_.first, ops::Write::overwrite, w);
  const auto through = [&](const NormFrame& frame, const NormIds& ids, const Shape& shape) {
    const ArenaScope inner(w.scratch);
    Tensor d_output = w.scratch.take(dtype, shape, "gradient of connector norm");
    copy(d_output, d.reshape(shape), w.stream);
    fill_zero(d, w.stream);
    norm_backward(d.reshape(shape), d_output, frame, 0, ids, w.parameters, w.stream);
  };
  if (ids_.joined_norm.present()) through(saved.joined_norm, ids_.joined_norm, saved.input.shape());
  if (ids_.row_norm.present()) through(saved.row_norm, ids_.row_norm, d_chosen.shape());
  parameters.send_gradients();
  return needs_input ? d_chosen : Tensor();
}

void Connector::add_state_gradient(Tensor d_state, Tensor d_chosen, i64 k, const IndexList& block_rows,
                                   const Workspace& w) const {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l] != k) continue;
    const Matrix columns = Matrix(d_chosen).columns(static_cast<i64>(l) * vision_width_, vision_width_);
    ops::scatter_add_rows(d_state, columns, block_rows, w.stream);
  }
}

bool Connector::any_grad(const ParameterRegistry& p) const {
  return model::any_grad(ids_.row_norm, p) || model::any_grad(ids_.joined_norm, p) ||
         model::any_grad(ids_.first, p) || model::any_grad(ids_.second, p);
}

}  // namespace longsight::model
