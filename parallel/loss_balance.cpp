#include "parallel/loss_balance.h"

#include <algorithm>

#include "parallel/batch_shape.h"
#include "runtime/ops/rows.h"

namespace longsight::parallel {
namespace {

std::vector<RowRange> ranges_of(const Cuts& cuts) {
  std::vector<RowRange> ranges;
  for (i64 r = 0; r < cuts.ranks(); ++r) ranges.push_back({cuts.begin(r), cuts.end(r)});
  return ranges;
}

// Both sides are ranges of the list of supervised positions: by owner of the position,
Cuts held_targets(std::span<const RowRange> supervised, const Cuts& language) {
  Cuts held;
  held.at.resize(language.at.size(), 0);
  for (const RowRange& range : supervised) {
    for (i64 row = range.begin; row < range.end;) {
      const i64 rank = language.owner(row), until = std::min(range.end, language.end(rank));
      held.at[static_cast<std::size_t>(rank) + 1] += until - row;
      row = until;
    }
  }
  for (std::size_t r = 1; r < held.at.size(); ++r) held.at[r] += held.at[r - 1];
  return held;
}

// and by equal count.
Cuts projected_targets(const Cuts& held) {
  return even_cuts(held.at.back(), held.ranks());
}

}  // namespace

TwoWays loss_exchanges(std::span<const RowRange> supervised, const Cuts& language) {
  const Cuts held = held_targets(supervised, language);
  const Counts rows = Counts::common(ranges_of(held), ranges_of(projected_targets(held)));
  return {all_to_all("loss forth", rows), all_to_all("loss back", rows.transposed())};
}

LossBalance::LossBalance(const Geometry& g, const Layout& layout, ProcessGroup& group) : group_(group) {
  const std::vector<RowRange> supervised = supervised_ranges(g);
  rows_ = loss_exchanges(supervised, layout.language);
  const i64 me = group.rank();
  const Cuts held = held_targets(supervised, layout.language), projected = projected_targets(held);
  for (i64 s = held.begin(me); s < held.end(me); ++s)
    local_rows_.push_back(g.supervised_positions[static_cast<std::size_t>(s)] - layout.language.begin(me));
  targets_.assign(g.targets.begin() + projected.begin(me), g.targets.begin() + projected.end(me));
}

void LossBalance::forward(Tensor balanced, Tensor hidden, Arena& scratch, Stream stream) {
  const i64 columns = hidden.row_size();
  const ArenaScope scope(scratch);
  Tensor send = scratch.take(hidden.dtype(), {static_cast<i64>(local_rows_.size()), columns},
                             "supervised rows to send");
  ops::gather_rows(send, hidden, local_rows_, stream);
  rows_.forth.times(columns).run(send, balanced, group_, stream);
}

void LossBalance::backward(Tensor d_hidden, Tensor d_balanced, Arena& scratch, Stream stream) {
  const i64 columns = d_hidden.row_size();
  const ArenaScope scope(scratch);
  Tensor received = scratch.take(d_hidden.dtype(), {static_cast<i64>(local_rows_.size()), columns},
                                 "supervised rows received");
  rows_.back.times(columns).run(d_balanced, received, group_, stream);
  fill_zero(d_hidden, stream);
  ops::scatter_rows(d_hidden, received, local_rows_, stream);
}

}  // namespace longsight::parallel
