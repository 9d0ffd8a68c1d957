#include "parallel/loss_balance.h"

#include <algorithm>

#include "runtime/ops/rows.h"

namespace longsight::parallel {

LossBalance::LossBalance(const Geometry& g, const Layout& layout, ProcessGroup& group)
    : group_(group), counts_(group.size()) {
  const i64 me = group.rank();
  // Both sides are ranges of the list of supervised positions: by owner of the position, and by equal count.
  const Cuts balanced = even_cuts(g.supervised(), group.size());
  const auto& positions = g.supervised_positions;
  const auto index_of = [&](i64 row) {
    return static_cast<i64>(std::lower_bound(positions.begin(), positions.end(), row) - positions.begin());
  };
  for (i64 owner = 0; owner < group.size(); ++owner) {
    const i64 first = index_of(layout.language.begin(owner)), last = index_of(layout.language.end(owner));
    for (i64 to = 0; to < group.size(); ++to) {
      counts_.at(owner, to) =
          std::max<i64>(0, std::min(last, balanced.end(to)) - std::max(first, balanced.begin(to)));
    }
    if (owner == me) {
      for (i64 s = first; s < last; ++s)
        local_rows_.push_back(positions[static_cast<std::size_t>(s)] - layout.language.begin(me));
    }
  }
  targets_.assign(g.targets.begin() + balanced.begin(me), g.targets.begin() + balanced.end(me));
}

void LossBalance::forward(Tensor balanced, Tensor hidden, Arena& scratch, Stream stream) {
  const i64 columns = hidden.row_size();
  const CountMatrix counts = counts_.times(columns);
  const ArenaScope scope(scratch);
  Tensor send = scratch.take(hidden.dtype(), {static_cast<i64>(local_rows_.size()), columns},
                             "supervised rows to send");
  ops::gather_rows(send, hidden, local_rows_, stream);
  group_.all_to_all_v(send, counts.sent_by(group_.rank()), balanced, counts.received_by(group_.rank()),
                      stream, "loss forth");
}

void LossBalance::backward(Tensor d_hidden, Tensor d_balanced, Arena& scratch, Stream stream) {
  const i64 columns = d_hidden.row_size();
  const CountMatrix counts = counts_.transposed().times(columns);
  const ArenaScope scope(scratch);
  Tensor received = scratch.take(d_hidden.dtype(), {static_cast<i64>(local_rows_.size()), columns},
                                 "supervised rows received");
  group_.all_to_all_v(d_balanced, counts.sent_by(group_.rank()), received, counts.received_by(group_.rank()),
                      stream, "loss back");
  fill_zero(d_hidden, stream);
  ops::scatter_rows(d_hidden, received, local_rows_, stream);
}

void LossBalance::schedule_forward(Schedule& schedule, DType dtype, i64 columns) const {
  schedule.add_all_to_all(group_.label(), "loss forth", dtype, counts_.times(columns));
}

void LossBalance::schedule_backward(Schedule& schedule, DType dtype, i64 columns) const {
  schedule.add_all_to_all(group_.label(), "loss back", dtype, counts_.times(columns).transposed());
}

}  // namespace longsight::parallel
