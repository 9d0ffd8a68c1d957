#include "parallel/loss_balance.h"

#include <algorithm>

#include "parallel/layout/batch_shape.h"
#include "runtime/ops/rows.h"

namespace longsight::parallel {
namespace {

std::vector<std::vector<RowRange>> ranges_of(const Cuts& cuts) {
  std::vector<std::vector<RowRange>> ranges;
  for (i64 r = 0; r < cuts.ranks(); ++r) ranges.push_back(cuts.ranges(r));
  return ranges;
}

// Both sides are ranges of the list of supervised positions, as the ranks hold them one behind the other: by
// owner of the position,
Cuts held_targets(std::span<const RowRange> supervised, const Cuts& language) {
  Cuts held;
  held.at.resize(static_cast<std::size_t>(language.ranks()) + 1, 0);
  for (const RowRange& range : supervised) {
    for (i64 row = range.begin; row < range.end;) {
      const Cuts::Place place = language.place(row);
      const i64 rows = std::min(range.end - row, place.following);
      held.at[static_cast<std::size_t>(place.rank) + 1] += rows;
      row += rows;
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

LossBalance::LossBalance(const Geometry& g, const Layout& layout, i64 rank, i64 vocab) {
  const std::vector<RowRange> supervised = supervised_ranges(g);
  rows_ = loss_exchanges(supervised, layout.language);
  const Cuts held = held_targets(supervised, layout.language), projected = projected_targets(held);
  std::vector<i64> local, targets(g.targets.size());  // targets as the ranks hold them
  std::vector<i64> next(held.at.begin(), held.at.end() - 1);
  for (std::size_t s = 0; s < g.targets.size(); ++s) {
    const Cuts::Place place = layout.language.place(g.supervised_positions[s]);
    if (place.rank == rank) local.push_back(place.row);
    targets[static_cast<std::size_t>(next[static_cast<std::size_t>(place.rank)]++)] = g.targets[s];
  }
  local_rows_ = IndexList(std::move(local), layout.language.rows(rank), "supervised rows");
  targets_ = IndexList({targets.begin() + projected.begin(rank), targets.begin() + projected.end(rank)},
                       vocab, "targets");
}

LossBalance LossBalance::counted(std::span<const RowRange> supervised, const Layout& layout, i64 rank,
                                 i64 vocab) {
  LossBalance balance;
  balance.rows_ = loss_exchanges(supervised, layout.language);
  const Counts& rows = balance.rows_.forth.counts;
  balance.local_rows_ = IndexList::counted(rows.total_sent_by(rank), layout.language.rows(rank));
  balance.targets_ = IndexList::counted(rows.total_received_by(rank), vocab);
  return balance;
}

void LossBalance::forward(Tensor balanced, Tensor hidden, const Workspace& w) const {
  const i64 columns = hidden.row_size();
  const ArenaScope scope(w.scratch);
  const Tensor send =
      w.scratch.take(hidden.dtype(), {local_rows_.size(), columns}, "supervised rows to send");
  ops::gather_rows(send, hidden, local_rows_, w.stream);
  rows_.forth.times(columns).run(send, balanced, w.group, w.stream);
}

void LossBalance::backward(Tensor d_hidden, Tensor d_balanced, const Workspace& w) const {
  const i64 columns = d_hidden.row_size();
  const ArenaScope scope(w.scratch);
  const Tensor received =
      w.scratch.take(d_hidden.dtype(), {local_rows_.size(), columns}, "supervised rows received");
  rows_.back.times(columns).run(d_balanced, received, w.group, w.stream);
  fill_zero(d_hidden, w.stream);
  ops::scatter_rows(d_hidden, received, local_rows_, w.stream);
}

}  // namespace longsight::parallel
