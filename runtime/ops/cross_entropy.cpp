#include "runtime/ops/cross_entropy.h"

#include <algorithm>

#include "runtime/ops/cuda/cross_entropy.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/cross_entropy.h"
#include "runtime/ops/linear.h"

namespace longsight::ops {
namespace {

void check_loss(const Tensor& loss, const ProjectedLoss& p) {
  check(loss.dtype() == DType::F64 && loss.elements() == 1, "projected loss: a sum of {} {}, not one of f64",
        name_of(loss.dtype()), loss.shape());
  check(p.x.shape().rank() == 2 && p.weight.shape().rank() == 2 && p.x.extent(1) == p.weight.extent(1) &&
            p.x.dtype() == p.weight.dtype(),
        "projected loss: hidden states {} {}, weight {} {}", name_of(p.x.dtype()), p.x.shape(),
        name_of(p.weight.dtype()), p.weight.shape());
  check(p.targets.size() == p.x.rows(), "projected loss: {} targets for {} rows", p.targets.size(),
        p.x.rows());
  check(p.chunk_rows > 0, "projected loss: chunks of {} rows", p.chunk_rows);
  check(p.targets.size() == 0 || p.targets.limit() <= p.weight.rows(),
        "projected loss: targets of {} ids, but there are {}", p.targets.limit(), p.weight.rows());
}

// The logits of a chunk are its largest buffer; they become their own gradient.
template <class F>
void loss_over_chunks(Tensor loss, const ProjectedLoss& p, bool gradient, Arena& scratch, Stream stream,
                      F&& after_chunk) {
  const i64 rows = p.x.rows(), chunk = std::min(p.chunk_rows, std::max<i64>(rows, 1));
  const ArenaScope scope(scratch);
  const DType sums = statistics_of(p.x.dtype());
  const Tensor logits = scratch.take(sums, {chunk, p.weight.rows()}, "loss.logits");
  // What the products of backward read is of the activations' type.
  const Tensor d_logits = sums == p.x.dtype() || !gradient
                              ? logits
                              : scratch.take(p.x.dtype(), {chunk, p.weight.rows()}, "loss.d_logits");
  const Tensor losses = scratch.take(DType::F64, {chunk}, "loss.rows");
  for_chunks(rows, chunk, stream, [&](i64 first, i64 count) {
    const Tensor part = logits.row_range(0, count);
    const IndexList targets = p.targets.range(first, part.rows());
    linear(part, p.x.row_range(first, part.rows()), p.weight, {}, stream);
    const Tensor d_part = d_logits.row_range(0, part.rows());
    execute(
        stream, {.op = "row_losses", .bytes = bytes_of({part, gradient ? d_part : Tensor()})},
        [=, scale = p.scale] {
          host::row_losses(loss, part, losses, targets.on(stream), scale, gradient, d_part);
        },
        [&] { cuda::row_losses(loss, part, losses, targets, p.scale, gradient, d_part, stream); });
    after_chunk(d_part, first);
  });
}

}  // namespace

void projected_loss(Tensor loss, const ProjectedLoss& p, Arena& scratch, Stream stream) {
  check_loss(loss, p);
  loss_over_chunks(loss, p, false, scratch, stream, [](const Tensor&, i64) {});
}

void projected_loss_with_gradient(Tensor loss, Tensor dx, Tensor d_weight, const ProjectedLoss& p,
                                  Arena& scratch, Stream stream) {
  check_loss(loss, p);
  check(dx.shape() == p.x.shape() && dx.dtype() == p.x.dtype(),
        "projected loss: gradient {} {} of hidden states {} {}", name_of(dx.dtype()), dx.shape(),
        name_of(p.x.dtype()), p.x.shape());
  check(!d_weight ||
            (d_weight.shape() == p.weight.shape() && d_weight.dtype() == statistics_of(p.weight.dtype())),
        "projected loss: gradient {} {} of the weight {} {}", name_of(d_weight.dtype()), d_weight.shape(),
        name_of(p.weight.dtype()), p.weight.shape());
  loss_over_chunks(loss, p, true, scratch, stream, [&](const Tensor& d_logits, i64 first) {
    linear_backward_input(dx.row_range(first, d_logits.rows()), d_logits, p.weight, Write::overwrite, stream);
    if (d_weight) {
      linear_backward_weight(d_weight, {}, d_logits, p.x.row_range(first, d_logits.rows()), stream);
    }
  });
}

}  // namespace longsight::ops
