#include "launch/planning/plan_candidates.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <tuple>

namespace longsight::planning {

namespace {

// What `auto` may choose from. Where nothing is open, any one will do.
std::vector<AttentionKind> candidates(Tower tower, const TowerFacts& shape,
                                      const std::vector<BlockRequest>& requests, const TypicalStep& step,
                                      i64 node) {
  if (!any_open(requests)) return {parallel::strategies().front().kind};
  std::vector<AttentionKind> kinds;
  for (AttentionKind kind : parallel::legal_for(tower)) {
    if (parallel::strategy_of(kind).automatic(step.mesh().sequence, node, shape.heads, step.summary().images))
      kinds.push_back(kind);
  }
  return kinds;
}

}  // namespace

std::vector<i64> sequence_degrees(const PlanRequest& request) {
  if (request.options.sequence) return {*request.options.sequence};
  std::vector<i64> all;
  for (i64 d = 1; d <= request.world; ++d) {
    if (request.world % d == 0) all.push_back(d);
  }
  return all;
}

bool any_open(const std::vector<BlockRequest>& requests) {
  return std::any_of(requests.begin(), requests.end(), [](const BlockRequest& r) { return !r.attention; });
}

i64 node_of(const PlanRequest& request, const Mesh& mesh) {
  const i64 node = request.hardware.ranks_per_node;
  return node > 0 && node % mesh.sequence != 0 ? node : 0;
}

std::vector<Split> splits(const PlanRequest& request, const Mesh& mesh,
                          const std::vector<AttentionKind>& language) {
  const std::optional<Split> asked = request.options.split;
  if (mesh.sequence == 1 || cuts_between_sequences(language)) return {Split::equal};
  if (asked) return {*asked};
  const i64 heads = model_facts(request.model.config()).language.heads;
  // Who reads whose keys in a zigzag is a matter of each two ranks; the strategies for more of them are
  // others.
  constexpr i64 kMostRanksOfZigzag = 256;
  if (mesh.sequence > kMostRanksOfZigzag ||
      !splits_causal_rows(language, mesh.sequence, node_of(request, mesh), heads))
    return {Split::equal};
  return {Split::equal, Split::zigzag};
}

std::vector<AttentionKind> filled(const std::vector<BlockRequest>& requests, AttentionKind open) {
  std::vector<AttentionKind> kinds;
  for (const BlockRequest& request : requests) kinds.push_back(request.attention.value_or(open));
  return kinds;
}

bool fits(const PlanRequest& request, const Candidate& c) {
  return request.options.memory_budget == 0 || c.step.memory.total() <= request.options.memory_budget;
}

std::size_t choose(const PlanRequest& request, const std::vector<Candidate>& all) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    const bool here = fits(request, all[i]), there = fits(request, all[best]);
    const bool better = here != there ? here
                        : here        ? all[i].step.seconds < all[best].step.seconds * (1 - 1e-9)
                                      : all[i].step.memory.total() < all[best].step.memory.total();
    if (better) best = i;
  }
  return best;
}

namespace {

// The steps of one mesh, by the limit of their micro-batches.
class Steps {
 public:
  Steps(const PlanRequest& request, const Mesh& mesh) : request_(request), mesh_(mesh) {}

  const TypicalStep& of(i64 limit) { return steps_.try_emplace(limit, request_, mesh_, limit).first->second; }

  void set(Candidate& candidate, const MemorySetting& setting) {
    setting.apply(candidate.plan);
    candidate.step = of(setting.micro_batch_tokens).predict(candidate.plan);
  }

 private:
  const PlanRequest& request_;
  Mesh mesh_;
  std::map<i64, TypicalStep> steps_;
};

// Candidates with one memory setting.
class Pairs {
 public:
  Pairs(const PlanRequest& request, const BlockRequests& requests, const Mesh& mesh,
        const MemorySetting& setting, Steps& steps)
      : request_(request), requests_(requests), mesh_(mesh), setting_(setting), steps_(steps) {
    const TypicalStep& step = steps.of(setting.micro_batch_tokens);
    const ModelFacts facts = model_facts(request.model.config());
    const i64 node = node_of(request, mesh);
    vision_ = candidates(Tower::vision, facts.vision, requests.vision, step, node);
    for (AttentionKind kind : candidates(Tower::language, facts.language, requests.language, step, node)) {
      for (Split split : splits(request, mesh, filled(requests.language, kind)))
        language_.push_back({kind, split});
    }
  }

  std::vector<Candidate> all() {
    for (AttentionKind vision : vision_)
      for (const Language& language : language_) add(vision, language);
    return std::move(all_);
  }

  // One tower after the other, and then the first once more: what both have to do with each other, where
  // their cuts make rows move between them, is little beside what each does by itself.
  std::vector<Candidate> likely() {
    for (AttentionKind vision : vision_) add(vision, language_.front());
    const AttentionKind best_vision = best().open_vision;
    for (const Language& language : language_) add(best_vision, language);
    const Language best_language{best().open_language, best().plan.split};
    for (AttentionKind vision : vision_) add(vision, best_language);
    return std::move(all_);
  }

 private:
  struct Language {
    AttentionKind open;
    Split split;
  };

  const Candidate& best() const { return all_[choose(request_, all_)]; }

  void add(AttentionKind vision, const Language& language) {
    if (!known_.emplace(vision, language.open, language.split).second) return;
    all_.push_back({.open_vision = vision,
                    .open_language = language.open,
                    .plan = {.mesh = mesh_,
                             .vision = filled(requests_.vision, vision),
                             .language = filled(requests_.language, language.open),
                             .fusion = request_.options.fusion,
                             .split = language.split,
                             .node = node_of(request_, mesh_)},
                    .step = {}});
    steps_.set(all_.back(), setting_);
  }

  const PlanRequest& request_;
  const BlockRequests& requests_;
  Mesh mesh_;
  MemorySetting setting_;
  Steps& steps_;
  std::vector<AttentionKind> vision_;
  std::vector<Language> language_;
  std::set<std::tuple<AttentionKind, AttentionKind, Split>> known_;
  std::vector<Candidate> all_;
};

// The fastest setting that fits, for a candidate that with the first one does not; where none does, that
// which needs least.
void make_fit(const PlanRequest& request, const std::vector<std::vector<MemorySetting>>& settings,
              Steps& steps, Candidate& candidate) {
  const MemorySetting& first = settings.front().front();
  candidate.too_large.emplace_back(first, candidate.step.memory.total());
  Candidate tried = candidate, best = candidate;
  steps.set(best, settings.back().back());
  const bool possible = fits(request, best);
  for (const auto& levels : settings) {
    for (const MemorySetting& setting : levels) {
      if (!possible || &setting == &first) continue;
      steps.set(tried, setting);
      if (fits(request, tried)) {
        if (tried.step.seconds < best.step.seconds) best = tried;
        break;
      }
      candidate.too_large.emplace_back(setting, tried.step.memory.total());
    }
    // More dealt over the ranks or smaller micro-batches would take longer, and save what is not needed.
    if (fits(request, tried) && tried.plan.recompute == levels.front().recompute) break;
  }
  candidate.plan = best.plan;
  candidate.step = best.step;
}

}  // namespace

std::vector<std::vector<Candidate>> ranked(const PlanRequest& request, const BlockRequests& requests,
                                           const std::vector<Mesh>& meshes) {
  struct OfMesh {
    Steps steps;
    std::vector<std::vector<MemorySetting>> settings;
    std::vector<Candidate> all;
  };
  std::vector<std::unique_ptr<OfMesh>> known;
  std::vector<std::pair<Candidate*, OfMesh*>> fastest_first;
  for (const Mesh& mesh : meshes) {
    known.push_back(std::make_unique<OfMesh>(
        OfMesh{.steps = Steps(request, mesh), .settings = memory_settings(request, mesh), .all = {}}));
    OfMesh& here = *known.back();
    here.all = Pairs(request, requests, mesh, here.settings.front().front(), here.steps).likely();
    for (Candidate& c : here.all) fastest_first.emplace_back(&c, &here);
  }
  std::stable_sort(fastest_first.begin(), fastest_first.end(), [](const auto& a, const auto& b) {
    return a.first->step.seconds < b.first->step.seconds;
  });
  double fastest = std::numeric_limits<double>::infinity();  // that fits
  for (const auto& [c, here] : fastest_first) {
    if (!fits(request, *c) && c->step.seconds < fastest) make_fit(request, here->settings, here->steps, *c);
    if (fits(request, *c)) fastest = std::min(fastest, c->step.seconds);
  }
  std::vector<std::vector<Candidate>> all;
  for (const auto& here : known) {
    std::swap(here->all.front(), here->all[choose(request, here->all)]);
    all.push_back(std::move(here->all));
  }
  return all;
}

std::vector<Candidate> with_setting(const PlanRequest& request, const BlockRequests& requests,
                                    const Mesh& mesh, const MemorySetting& setting) {
  Steps steps(request, mesh);
  return Pairs(request, requests, mesh, setting, steps).all();
}

}  // namespace longsight::planning
