#include "parallel/fusion_exchange.h"

#include <algorithm>
#include <numeric>

#include "runtime/ops/rows.h"

namespace longsight::parallel {
namespace {

// Features by owner, each in the order of the vision stream: the rows of that rank's connector output.
std::vector<std::vector<i64>> features_by_owner(const Geometry& g, const Cuts& vision) {
  std::vector<i64> order(static_cast<std::size_t>(g.features()));
  std::iota(order.begin(), order.end(), i64{0});
  std::stable_sort(order.begin(), order.end(), [&](i64 a, i64 b) {
    return g.feature_rows[static_cast<std::size_t>(a)] < g.feature_rows[static_cast<std::size_t>(b)];
  });
  std::vector<std::vector<i64>> owned(static_cast<std::size_t>(vision.ranks()));
  for (i64 f : order)
    owned[static_cast<std::size_t>(vision.owner(g.feature_rows[static_cast<std::size_t>(f)]))].push_back(f);
  return owned;
}

i64 position_of(const Geometry& g, i64 feature) {
  return g.feature_positions[static_cast<std::size_t>(feature)];
}

}  // namespace

TwoWays fusion_exchanges(FusionKind kind, std::span<const FeatureRun> features, const Layout& layout) {
  std::vector<Counts::Pair> rows;
  std::vector<i64> owned(static_cast<std::size_t>(layout.ranks));
  for (const FeatureRun& run : features) {
    for (i64 i = 0; i < run.count;) {
      const i64 row = run.first_row + i * run.row_step, position = run.first_position + i;
      const Cuts::Place from = layout.vision.place(row), to = layout.language.place(position);
      const i64 n = std::min({run.count - i, ceil_div(from.following, run.row_step), to.following});
      rows.push_back({from.rank, to.rank, n});
      owned[static_cast<std::size_t>(from.rank)] += n;
      i += n;
    }
  }
  const std::string forth = "fusion forth", back = "fusion back";
  if (kind == FusionKind::gather) return {all_gather(forth, owned), reduce_scatter(back, owned)};
  const Counts counts = Counts::pairs(layout.ranks, std::move(rows));
  return {all_to_all(forth, counts), all_to_all(back, counts.transposed())};
}

FusionExchange::FusionExchange(FusionKind kind, const Geometry& g, const Layout& layout, i64 rank)
    : kind_(kind), rows_(fusion_exchanges(kind, feature_runs(g), layout)) {
  check(g.feature_rows.size() == g.feature_positions.size(), "{} visual tokens for {} features",
        g.feature_positions.size(), g.feature_rows.size());
  const auto by_owner = features_by_owner(g, layout.vision);
  owned_ = by_owner[static_cast<std::size_t>(rank)];
  owned_count_ = static_cast<i64>(owned_.size());
  std::vector<i64> here, used;
  i64 row = 0;
  for (const auto& features : by_owner) {
    for (i64 f : features) {
      const Cuts::Place place = layout.language.place(position_of(g, f));
      if (place.rank == rank) {
        here.push_back(place.row);
        used.push_back(row);
      }
      ++row;
    }
  }
  here_ = IndexList(std::move(here), layout.language.rows(rank), "visual tokens");
  if (kind == FusionKind::gather) {
    there_ = IndexList(std::move(used), row, "features of all ranks");
    return;
  }
  std::vector<std::vector<i64>> rows_for(static_cast<std::size_t>(layout.ranks));  // of mine, by consumer
  for (std::size_t i = 0; i < owned_.size(); ++i) {
    const i64 consumer = layout.language.owner(position_of(g, owned_[i]));
    rows_for[static_cast<std::size_t>(consumer)].push_back(static_cast<i64>(i));
  }
  std::vector<i64> sent;
  for (const auto& rows : rows_for) sent.insert(sent.end(), rows.begin(), rows.end());
  there_ = IndexList(std::move(sent), owned_count_, "features to send");
}

FusionExchange FusionExchange::counted(FusionKind kind, std::span<const FeatureRun> runs,
                                       const Layout& layout, i64 rank) {
  FusionExchange fusion;
  fusion.kind_ = kind;
  fusion.rows_ = fusion_exchanges(kind, runs, layout);
  const Counts owners = kind == FusionKind::owner
                            ? fusion.rows_.forth.counts
                            : fusion_exchanges(FusionKind::owner, runs, layout).forth.counts;
  const i64 received = owners.total_received_by(rank);
  fusion.owned_count_ = owners.total_sent_by(rank);
  fusion.here_ = IndexList::counted(received, layout.language.rows(rank));
  fusion.there_ = kind == FusionKind::gather ? IndexList::counted(received, owners.total())
                                             : IndexList::counted(fusion.owned_count_, fusion.owned_count_);
  return fusion;
}

// owner: rows `from_rows` of `from`, grouped by receiver, become rows `to_rows` of `to`, grouped by sender.
void FusionExchange::move(Tensor to, const IndexList& to_rows, Tensor from, const IndexList& from_rows,
                          const Exchange& rows, const Workspace& w) const {
  const i64 columns = from.row_size();
  const ArenaScope scope(w.scratch);
  const Tensor send = w.scratch.take(from.dtype(), {from_rows.size(), columns}, "fusion rows to send");
  const Tensor received = w.scratch.take(from.dtype(), {to_rows.size(), columns}, "fusion rows received");
  ops::gather_rows(send, from, from_rows, w.stream);
  rows.times(columns).run(send, received, w.group, w.stream);
  ops::scatter_rows(to, received, to_rows, w.stream);
}

void FusionExchange::forward(Tensor tokens, Tensor features, const Workspace& w) const {
  if (kind_ == FusionKind::owner) return move(tokens, here_, features, there_, rows_.forth, w);
  // Every rank receives every feature row, as other systems do: the baseline that `owner` is measured
  // against.
  const i64 columns = features.row_size();
  const ArenaScope scope(w.scratch);
  const Tensor all = w.scratch.take(features.dtype(), {there_.limit(), columns}, "all visual tokens");
  const Tensor mine = w.scratch.take(features.dtype(), {here_.size(), columns}, "visual tokens of my range");
  rows_.forth.times(columns).run(features, all, w.group, w.stream);
  ops::gather_rows(mine, all, there_, w.stream);
  ops::scatter_rows(tokens, mine, here_, w.stream);
}

void FusionExchange::backward(Tensor d_features, Tensor d_tokens, const Workspace& w) const {
  if (kind_ == FusionKind::owner) return move(d_features, there_, d_tokens, here_, rows_.back, w);
  const i64 columns = d_features.row_size();
  const ArenaScope scope(w.scratch);
  const Tensor all =
      w.scratch.take(d_features.dtype(), {there_.limit(), columns}, "gradient of all visual tokens");
  const Tensor mine =
      w.scratch.take(d_features.dtype(), {here_.size(), columns}, "gradient of visual tokens of my range");
  fill_zero(all, w.stream);
  ops::gather_rows(mine, d_tokens, here_, w.stream);
  ops::scatter_rows(all, mine, there_, w.stream);
  rows_.back.times(columns).run(all, d_features, w.group, w.stream);
}

}  // namespace longsight::parallel
