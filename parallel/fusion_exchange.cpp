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

class OwnerExchange final : public FusionExchange {
 public:
  OwnerExchange(const Geometry& g, const Layout& layout, ProcessGroup& group)
      : group_(group), counts_(group.size()) {
    const auto by_owner = features_by_owner(g, layout.vision);
    const i64 me = group.rank();
    owned_ = by_owner[static_cast<std::size_t>(me)];
    for (i64 owner = 0; owner < group.size(); ++owner) {
      const auto& features = by_owner[static_cast<std::size_t>(owner)];
      std::vector<std::vector<i64>> rows_for(
          static_cast<std::size_t>(group.size()));  // by consumer, rows of `features`
      for (std::size_t i = 0; i < features.size(); ++i) {
        const i64 position = g.feature_positions[static_cast<std::size_t>(features[i])];
        const i64 consumer = layout.language.owner(position);
        counts_.at(owner, consumer) += 1;
        if (owner == me) rows_for[static_cast<std::size_t>(consumer)].push_back(static_cast<i64>(i));
        if (consumer == me) received_positions_.push_back(position - layout.language.begin(me));
      }
      for (const auto& rows : rows_for) sent_rows_.insert(sent_rows_.end(), rows.begin(), rows.end());
    }
  }

  const std::vector<i64>& owned() const override { return owned_; }

  void forward(Tensor tokens, Tensor features, Arena& scratch, Stream stream) override {
    exchange(scratch, features, sent_rows_, tokens, received_positions_, counts_, "fusion forth", stream);
  }

  void backward(Tensor d_features, Tensor d_tokens, Arena& scratch, Stream stream) override {
    exchange(scratch, d_tokens, received_positions_, d_features, sent_rows_, counts_.transposed(),
             "fusion back", stream);
  }

  void schedule_forward(Schedule& schedule, DType dtype, i64 columns) const override {
    schedule.add_all_to_all(group_.label(), "fusion forth", dtype, counts_.times(columns));
  }
  void schedule_backward(Schedule& schedule, DType dtype, i64 columns) const override {
    schedule.add_all_to_all(group_.label(), "fusion back", dtype, counts_.times(columns).transposed());
  }

 private:
  // Rows `from_rows` of `from`, grouped by receiver, become rows `to_rows` of `to`, grouped by sender.
  void exchange(Arena& scratch, Tensor from, const std::vector<i64>& from_rows, Tensor to,
                const std::vector<i64>& to_rows, const CountMatrix& row_counts, const char* label,
                Stream stream) {
    const i64 columns = from.row_size();
    const CountMatrix counts = row_counts.times(columns);
    const ArenaScope scope(scratch);
    Tensor send =
        scratch.take(from.dtype(), {static_cast<i64>(from_rows.size()), columns}, "fusion rows to send");
    Tensor received =
        scratch.take(from.dtype(), {static_cast<i64>(to_rows.size()), columns}, "fusion rows received");
    ops::gather_rows(send, from, from_rows, stream);
    group_.all_to_all_v(send, counts.sent_by(group_.rank()), received, counts.received_by(group_.rank()),
                        stream, label);
    ops::scatter_rows(to, received, to_rows, stream);
  }

  ProcessGroup& group_;
  CountMatrix counts_;
  std::vector<i64> owned_;
  std::vector<i64> sent_rows_;           // rows of my features, grouped by consumer
  std::vector<i64> received_positions_;  // my language rows, in the order in which features arrive
};

// Every rank receives every feature row, as other systems do: the baseline that `owner` is measured against.
class GatherExchange final : public FusionExchange {
 public:
  GatherExchange(const Geometry& g, const Layout& layout, ProcessGroup& group) : group_(group) {
    const auto by_owner = features_by_owner(g, layout.vision);
    const i64 me = group.rank();
    owned_ = by_owner[static_cast<std::size_t>(me)];
    i64 row = 0;
    for (const auto& features : by_owner) {
      rows_.push_back(static_cast<i64>(features.size()));
      for (i64 f : features) {
        const i64 position = g.feature_positions[static_cast<std::size_t>(f)];
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
    group_.all_gather_v(features, all, counts(columns), stream, "fusion forth");
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
    group_.reduce_scatter_v(all, d_features, counts(columns), stream, "fusion back");
  }

  void schedule_forward(Schedule& schedule, DType dtype, i64 columns) const override {
    schedule.add_all_gather(group_.label(), "fusion forth", dtype, counts(columns));
  }
  void schedule_backward(Schedule& schedule, DType dtype, i64 columns) const override {
    schedule.add_reduce_scatter(group_.label(), "fusion back", dtype, counts(columns));
  }

 private:
  std::vector<i64> counts(i64 columns) const {
    std::vector<i64> elements;
    for (i64 rows : rows_) elements.push_back(checked_mul(rows, columns));
    return elements;
  }

  ProcessGroup& group_;
  std::vector<i64> owned_;
  std::vector<i64> rows_;  // features by owner
  i64 total_ = 0;
  std::vector<i64> used_rows_,
      positions_;  // of the gathered rows that this rank uses: row there, language row here
};

}  // namespace

std::unique_ptr<FusionExchange> make_fusion_exchange(FusionKind kind, const Geometry& g, const Layout& layout,
                                                     ProcessGroup& group) {
  check(g.feature_rows.size() == g.feature_positions.size(), "{} visual tokens for {} features",
        g.feature_positions.size(), g.feature_rows.size());
  if (kind == FusionKind::owner) return std::make_unique<OwnerExchange>(g, layout, group);
  return std::make_unique<GatherExchange>(g, layout, group);
}

}  // namespace longsight::parallel
