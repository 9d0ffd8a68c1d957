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

class OwnerExchange final : public FusionExchange {
 public:
  OwnerExchange(const Geometry& g, const Layout& layout, ProcessGroup& group)
      : FusionExchange(fusion_exchanges(FusionKind::owner, feature_runs(g), layout), group) {
    const auto by_owner = features_by_owner(g, layout.vision);
    const i64 me = group.rank();
    owned_ = by_owner[static_cast<std::size_t>(me)];
    std::vector<std::vector<i64>> rows_for(static_cast<std::size_t>(group.size()));  // of mine, by consumer
    for (std::size_t i = 0; i < owned_.size(); ++i) {
      const i64 consumer = layout.language.owner(position_of(g, owned_[i]));
      rows_for[static_cast<std::size_t>(consumer)].push_back(static_cast<i64>(i));
    }
    for (const auto& rows : rows_for) sent_rows_.insert(sent_rows_.end(), rows.begin(), rows.end());
    for (const auto& features : by_owner) {
      for (i64 f : features) {
        const i64 position = position_of(g, f);
        if (layout.language.owner(position) == me)
          received_positions_.push_back(position - layout.language.begin(me));
      }
    }
  }

  const std::vector<i64>& owned() const override { return owned_; }

  void forward(Tensor tokens, Tensor features, Arena& scratch, Stream stream) override {
    move(scratch, features, sent_rows_, tokens, received_positions_, rows_.forth, stream);
  }

  void backward(Tensor d_features, Tensor d_tokens, Arena& scratch, Stream stream) override {
    move(scratch, d_tokens, received_positions_, d_features, sent_rows_, rows_.back, stream);
  }

 private:
  // Rows `from_rows` of `from`, grouped by receiver, become rows `to_rows` of `to`, grouped by sender.
  void move(Arena& scratch, Tensor from, const std::vector<i64>& from_rows, Tensor to,
            const std::vector<i64>& to_rows, const Exchange& rows, Stream stream) {
    const i64 columns = from.row_size();
    const ArenaScope scope(scratch);
    Tensor send =
        scratch.take(from.dtype(), {static_cast<i64>(from_rows.size()), columns}, "fusion rows to send");
    Tensor received =
        scratch.take(from.dtype(), {static_cast<i64>(to_rows.size()), columns}, "fusion rows received");
    ops::gather_rows(send, from, from_rows, stream);
    rows.times(columns).run(send, received, group_, stream);
    ops::scatter_rows(to, received, to_rows, stream);
  }

  std::vector<i64> owned_;
  std::vector<i64> sent_rows_;           // rows of my features, grouped by consumer
  std::vector<i64> received_positions_;  // my language rows, in the order in which features arrive
};

// Every rank receives every feature row, as other systems do: the baseline that `owner` is measured against.
class GatherExchange final : public FusionExchange {
 public:
  GatherExchange(const Geometry& g, const Layout& layout, ProcessGroup& group)
      : FusionExchange(fusion_exchanges(FusionKind::gather, feature_runs(g), layout), group) {
    const auto by_owner = features_by_owner(g, layout.vision);
    const i64 me = group.rank();
    owned_ = by_owner[static_cast<std::size_t>(me)];
    i64 row = 0;
    for (const auto& features : by_owner) {
      for (i64 f : features) {
        const i64 position = position_of(g, f);
        if (layout.language.owner(position) == me) {
          used_rows_.push_back(row);
          positions_.push_back(position - layout.language.begin(me));
        }
        ++row;
      }
    }
    total_ = row;
  }

  const std::vector<i64>& owned() const override { return owned_; }

  void forward(Tensor tokens, Tensor features, Arena& scratch, Stream stream) override {
    const i64 columns = features.row_size();
    const ArenaScope scope(scratch);
    Tensor all = scratch.take(features.dtype(), {total_, columns}, "all visual tokens");
    Tensor mine = scratch.take(features.dtype(), {static_cast<i64>(positions_.size()), columns},
                               "visual tokens of my range");
    rows_.forth.times(columns).run(features, all, group_, stream);
    ops::gather_rows(mine, all, used_rows_, stream);
    ops::scatter_rows(tokens, mine, positions_, stream);
  }

  void backward(Tensor d_features, Tensor d_tokens, Arena& scratch, Stream stream) override {
    const i64 columns = d_features.row_size();
    const ArenaScope scope(scratch);
    Tensor all = scratch.take(d_features.dtype(), {total_, columns}, "gradient of all visual tokens");
    Tensor mine = scratch.take(d_features.dtype(), {static_cast<i64>(positions_.size()), columns},
                               "gradient of visual tokens of my range");
    fill_zero(all, stream);
    ops::gather_rows(mine, d_tokens, positions_, stream);
    ops::scatter_rows(all, mine, used_rows_, stream);
    rows_.back.times(columns).run(all, d_features, group_, stream);
  }

 private:
  std::vector<i64> owned_;
  i64 total_ = 0;
  std::vector<i64> used_rows_,
      positions_;  // of the gathered rows that this rank uses: row there, language row here
};

}  // namespace

TwoWays fusion_exchanges(FusionKind kind, std::span<const FeatureRun> features, const Layout& layout) {
  std::vector<Counts::Pair> rows;
  std::vector<i64> owned(static_cast<std::size_t>(layout.ranks));
  for (const FeatureRun& run : features) {
    for (i64 i = 0; i < run.count;) {
      const i64 row = run.first_row + i * run.row_step, position = run.first_position + i;
      const i64 owner = layout.vision.owner(row), consumer = layout.language.owner(position);
      const i64 n = std::min({run.count - i, ceil_div(layout.vision.end(owner) - row, run.row_step),
                              layout.language.end(consumer) - position});
      rows.push_back({owner, consumer, n});
      owned[static_cast<std::size_t>(owner)] += n;
      i += n;
    }
  }
  const std::string forth = "fusion forth", back = "fusion back";
  if (kind == FusionKind::gather) return {all_gather(forth, owned), reduce_scatter(back, owned)};
  const Counts counts = Counts::pairs(layout.ranks, std::move(rows));
  return {all_to_all(forth, counts), all_to_all(back, counts.transposed())};
}

std::unique_ptr<FusionExchange> make_fusion_exchange(FusionKind kind, const Geometry& g, const Layout& layout,
                                                     ProcessGroup& group) {
  check(g.feature_rows.size() == g.feature_positions.size(), "{} visual tokens for {} features",
        g.feature_positions.size(), g.feature_rows.size());
  if (kind == FusionKind::owner) return std::make_unique<OwnerExchange>(g, layout, group);
  return std::make_unique<GatherExchange>(g, layout, group);
}

}  // namespace longsight::parallel
