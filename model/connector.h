// The vision-language projection: chosen hidden states of the tower, side by side; a norm of these rows; the
// rows of a merge block joined to one; a norm of that; one linear layer, or two with an activation between.
// Norms are there where the family has them.
#pragma once

#include "model/gathered.h"
#include "model/layers.h"
#include "runtime/tensor/index_list.h"

namespace longsight::model {

class Connector {
 public:
  Connector(const ModelConfig&, const ConnectorIds&);

  // features [F, C], in the saved arena. block_rows [F * merged]: the rows of the hidden states in the merge
  // block that each feature is made of. Row-wise: no collective, but for parameters that are dealt over the
  // workspace's world, where ranks without images stand by.
  Tensor forward(const std::vector<Tensor>& hidden_states, const IndexList& block_rows,
                 const Workspace&) const;
  // Returns the gradient of the chosen rows, [F * merged, L * C_vision], in scratch; empty if `needs_input`
  // is false.
  Tensor backward(Tensor d_features, bool needs_input, const Workspace&) const;
  // Adds the part of d_chosen that belongs to hidden state k to d_state [rows, C_vision].
  void add_state_gradient(Tensor d_state, Tensor d_chosen, i64 k, const IndexList& block_rows,
                          const Workspace&) const;

  void stand_by_forward(const Workspace& w) const { model::stand_by_forward({ids_.first.weight}, w); }
  void stand_by_backward(const Workspace& w) const { model::stand_by_backward({ids_.first.weight}, w); }

  bool any_grad(const ParameterRegistry&) const;

 private:
  i64 chosen_width() const { return vision_width_ * static_cast<i64>(layers_.size()); }

  i64 vision_width_;
  i64 text_width_;
  i64 middle_;
  i64 merged_;  // rows of a merge block
  double row_norm_eps_, joined_norm_eps_;
  std::vector<i64> layers_;
  ops::Activation activation_;
  ConnectorIds ids_;
};

}  // namespace longsight::model
