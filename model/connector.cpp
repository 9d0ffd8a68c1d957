#include "model/connector.h"

#include "runtime/ops/rows.h"

namespace longsight::model {
namespace {

struct ConnectorSaved {
  Tensor input;   // [F, L * C_vision]
  Tensor before;  // [F, C]: into the activation
};

}  // namespace

Connector::Connector(const ModelConfig& config, const ConnectorIds& ids)
    : vision_width_(config.vision.width),
      text_width_(config.text.width),
      layers_(config.connector.feature_layers),
      activation_(config.connector.activation),
      ids_(ids) {}

Tensor Connector::forward(const std::vector<Tensor>& states, std::span<const i64> source_rows,
                          const Workspace& w) const {
  const DType dtype = w.parameters.dtype();
  const i64 rows = static_cast<i64>(source_rows.size());
  Tensor features = w.saved.take(dtype, {rows, text_width_}, "connector output");
  ConnectorSaved saved{.input = w.saved.take(dtype, {rows, vision_width_ * static_cast<i64>(layers_.size())},
                                             "connector input"),
                       .before = w.saved.take(dtype, {rows, text_width_}, "connector middle")};
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Matrix columns = Matrix(saved.input).columns(static_cast<i64>(l) * vision_width_, vision_width_);
    ops::gather_rows(columns, states[static_cast<std::size_t>(layers_[l])], source_rows, w.stream);
  }
  const ArenaScope scope(w.scratch);
  Tensor activated = w.scratch.take(dtype, {rows, text_width_}, "connector activated");
  linear(saved.before, saved.input, ids_.first, w.parameters, w.stream,
         {.activation = activation_, .activated = activated});
  linear(features, activated, ids_.second, w.parameters, w.stream);
  w.frames.push(saved);
  return features;
}

Tensor Connector::backward(Tensor d_features, bool needs_input, const Workspace& w) const {
  const auto saved = w.frames.pop<ConnectorSaved>();
  const DType dtype = d_features.dtype();
  const i64 rows = d_features.rows();
  Tensor d_input;
  if (needs_input) d_input = w.scratch.take(dtype, saved.input.shape(), "gradient of connector input");
  const ArenaScope scope(w.scratch);
  Tensor activated = w.scratch.take(dtype, {rows, text_width_}, "connector activated");
  Tensor d_middle = w.scratch.take(dtype, {rows, text_width_}, "gradient of connector middle");
  ops::activation(activated, saved.before, activation_, w.stream);
  linear_backward_weight(d_features, activated, ids_.second, w.parameters, w.stream);
  linear_backward_input(d_middle, d_features, ids_.second, ops::Write::overwrite, w.parameters, w.stream);
  ops::activation_backward(d_middle, d_middle, saved.before, activation_, w.stream);
  linear_backward_weight(d_middle, saved.input, ids_.first, w.parameters, w.stream);
  if (needs_input)
    linear_backward_input(d_input, d_middle, ids_.first, ops::Write::overwrite, w.parameters, w.stream);
  return d_input;
}

void Connector::add_state_gradient(Tensor d_state, Tensor d_input, i64 k, std::span<const i64> source_rows,
                                   const Workspace& w) const {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l] != k) continue;
    const Matrix columns = Matrix(d_input).columns(static_cast<i64>(l) * vision_width_, vision_width_);
    ops::scatter_add_rows(d_state, columns, source_rows, w.stream);
  }
}

bool Connector::any_grad(const ParameterRegistry& p) const {
  return model::any_grad(ids_.first, p) || model::any_grad(ids_.second, p);
}

}  // namespace longsight::model
