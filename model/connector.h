// The vision-language projection: chosen hidden states of the tower, side by side, through two linear layers.
#pragma once

#include "model/layers.h"
#include "model/workspace.h"

namespace longsight::model {

class Connector {
 public:
  Connector(const ModelConfig&, const ConnectorIds&);

  // features [F, C]: row i is made of rows source_rows[i] of the hidden states. In the saved arena. Row-wise:
  // no collective.
  Tensor forward(const std::vector<Tensor>& hidden_states, std::span<const i64> source_rows,
                 const Workspace&) const;
  // Returns the gradient of the joined input [F, L * C_vision], in scratch; empty if `needs_input` is false.
  Tensor backward(Tensor d_features, bool needs_input, const Workspace&) const;
  // Adds the part of d_input that belongs to hidden state k to d_state [rows, C_vision].
  void add_state_gradient(Tensor d_state, Tensor d_input, i64 k, std::span<const i64> source_rows,
                          const Workspace&) const;

  bool any_grad(const ParameterRegistry&) const;

 private:
  i64 vision_width_;
  i64 text_width_;
  std::vector<i64> layers_;
  ops::Activation activation_;
  ConnectorIds ids_;
};

}  // namespace longsight::model
