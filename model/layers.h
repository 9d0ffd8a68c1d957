// The layers that the towers, the connector and the head are made of. Each is a forward and its backward;
// weights are looked up in the registry by id; gradients are added where the parameter has one.
#pragma once

#include "model/parameter_ids.h"
#include "model/workspace.h"
#include "runtime/ops/linear.h"

namespace longsight::model {

// y [M, N] = s * (x [M, K] W^T + b) (+ residual, + activation: see ops::LinearOptions). Where the ids have a
// layer scale s, it is folded into a copy of the weights, and there is no activation.
void linear(Matrix y, Matrix x, const LinearIds&, const Workspace&, ops::LinearOptions options = {});
// dW += dy^T x, db += sum of dy (and the scale's gradient), for those of the joined parameters that have a
// gradient.
void linear_backward_weight(Matrix dy, Matrix x, const LinearIds&, const Workspace&);
// dx = or += dy W.
void linear_backward_input(Matrix dx, Matrix dy, const LinearIds&, ops::Write, const Workspace&);
bool any_grad(const LinearIds&, const ParameterRegistry&);

// Layer norm where the ids have a bias, RMS norm where they have none.
struct NormFrame {
  Tensor x;     // the input, not copied
  Tensor mean;  // [T]; RMS norm has none
  Tensor rstd;  // [T]
};
// Takes the statistics of x's rows from `saved`; they are filled by norm_rows.
NormFrame norm_frame(Tensor x, const NormIds&, Arena& saved);
// y [n, C] = norm of rows first .. first + n of the frame's x; writes their statistics into the frame.
void norm_rows(Tensor y, const NormFrame&, i64 first, const NormIds&, double eps, const ParameterRegistry&,
               Stream);
// y of rows [first, first + y.rows()) once more.
void norm_again(Tensor y, const NormFrame&, i64 first, const NormIds&, const ParameterRegistry&, Stream);
// dx [n, C] += gradient, for rows first .. first + n.
void norm_backward(Tensor dx, Tensor dy, const NormFrame&, i64 first, const NormIds&,
                   const ParameterRegistry&, Stream);
bool any_grad(const NormIds&, const ParameterRegistry&);

}  // namespace longsight::model
