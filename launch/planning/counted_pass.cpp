#include "launch/planning/counted_pass.h"

namespace longsight::planning {
namespace {

template <class Value>
i64 most(i64 ranks, Value&& value) {
  i64 best = 0;
  for (i64 r = 1; r < ranks; ++r) {
    if (value(r) > value(best)) best = r;
  }
  return best;
}

std::set<i64> ranks_with_most(const model::PassInputs& inputs, const parallel::BatchShape& batch) {
  const parallel::Layout& layout = inputs.layout();
  const i64 ranks = layout.ranks;
  std::set<i64> some{most(ranks, [&](i64 r) { return layout.language.rows(r); }),
                     most(ranks, [&](i64 r) { return layout.vision.rows(r); })};
  for (const auto& strategy : inputs.strategies) {
    const std::vector<double> pairs = strategy->head_pairs();
    some.insert(most(ranks, [&](i64 r) { return pairs[static_cast<std::size_t>(r)]; }));
  }
  if (inputs.has_images()) {
    const parallel::Counts rows =
        fusion_exchanges(parallel::FusionKind::owner, batch.features, layout).forth.counts;
    some.insert(most(ranks, [&](i64 r) { return rows.total_sent_by(r); }));
    some.insert(most(ranks, [&](i64 r) { return rows.total_received_by(r); }));
  }
  return some;
}

}  // namespace

CountedPass::CountedPass(const model::Vlm& model, const parallel::BatchShape& batch,
                         const parallel::Plan& plan)
    : model_(model), batch_(batch) {
  const auto first = inputs_.emplace(0, counted_inputs(batch, model, plan, 0)).first;
  fullest_ = ranks_with_most(first->second, batch);
}

model::PassInputs& CountedPass::inputs(i64 rank, parallel::Recompute recompute) {
  auto place = inputs_.find(rank);
  if (place == inputs_.end())
    place = inputs_.emplace(rank, counted_inputs(batch_, model_, inputs_.at(0).frame, rank)).first;
  place->second.set_recompute(recompute);
  return place->second;
}

parallel::Wire CountedPass::wire(const parallel::ScheduleEntry& entry, i64 node) {
  const auto [known, added] = wires_.try_emplace({entry.counts.identity(), entry.dtype});
  if (added) known->second = {entry.counts, wire_of(entry.counts, size_of(entry.dtype), node)};
  return known->second.wire;
}

}  // namespace longsight::planning
