#include "launch/planning/plan_candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <optional>
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
  Steps(const PlanRequest& request, KnownPasses& passes, const Mesh& mesh)
      : request_(request), passes_(passes), mesh_(mesh) {}

  const TypicalStep& of(i64 limit) {
    return steps_.try_emplace(limit, request_, passes_, mesh_, limit).first->second;
  }

  void set(Candidate& candidate, const MemorySetting& setting) {
    setting.apply(candidate.plan);
    candidate.step = of(setting.micro_batch_tokens).predict(candidate.plan);
  }

 private:
  const PlanRequest& request_;
  KnownPasses& passes_;
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

  // One tower after the other: what both have to do with each other, where their cuts make rows move between
  // them, is little beside what each does by itself.
  std::vector<Candidate> likely() {
    for (AttentionKind vision : vision_) add(vision, language_.front());
    const AttentionKind best_vision = best().open_vision;
    for (const Language& language : language_) add(best_vision, language);
    return std::move(all_);
  }

  // To those that are known, what differs from `one` in its vision tower only.
  void add_visions(std::vector<Candidate>& known, const Candidate& one) {
    for (const Candidate& c : known) known_.emplace(c.open_vision, c.open_language, c.plan.split);
    all_ = std::move(known);
    for (AttentionKind vision : vision_) add(vision, {one.open_language, one.plan.split});
    known = std::move(all_);
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

// What is tried on one mesh.
struct OfMesh {
  Steps steps;
  std::vector<Stages> settings;
  std::vector<Candidate> all;
  std::size_t limit = 0;            // of the settings: what the candidate before needed
  std::optional<double> more = {};  // seconds that every candidate takes more at least, to fit

  const MemorySetting& first() const { return settings.front().front().front(); }
};

// What stays for the whole run is the same for all strategies, and so are its ranks' exchanges: the seconds
// that dealing out enough of it adds.
double seconds_more(const PlanRequest& request, OfMesh& here) {
  Candidate tried = here.all.front();
  here.steps.set(tried, here.first());
  const double whole = tried.step.seconds;
  double least = std::numeric_limits<double>::infinity();
  for (const Levels& levels : here.settings.front()) {
    MemorySetting setting = levels.front();
    setting.apply(tried.plan);
    if (resident_memory(request.model.parameters(), tried.plan).total() > request.options.memory_budget)
      continue;
    here.steps.set(tried, setting);
    least = std::min(least, tried.step.seconds - whole);
  }
  return std::isinf(least) ? 0 : least;
}

// The first limit of micro-batches with which anything fits: candidates of one mesh differ little, so it is
// looked for from that of the one before.
std::size_t first_limit(const PlanRequest& request, OfMesh& here, Candidate tried) {
  const auto possible = [&](std::size_t limit) {
    here.steps.set(tried, leanest(here.settings[limit]));
    return fits(request, tried);
  };
  std::size_t limit = here.limit;
  if (limit < here.settings.size() && possible(limit)) {
    while (limit > 0 && possible(limit - 1)) --limit;
  } else {
    while (limit < here.settings.size() && !possible(limit)) ++limit;
  }
  return here.limit = limit;
}

// For a candidate that does not fit with the first setting: the fastest setting that fits and is faster than
// `bound`, where there is one; else what needs least, of those that fit with the largest micro-batches.
void make_fit(const PlanRequest& request, OfMesh& here, Candidate& candidate, double bound) {
  Candidate tried = candidate;
  tried.too_large = {{here.first(), candidate.step.memory.total()}};
  const auto set = [&](const MemorySetting& setting) {
    here.steps.set(tried, setting);
    const bool fit = fits(request, tried);
    if (!fit && setting != here.first()) tried.too_large.emplace_back(setting, tried.step.memory.total());
    return fit;
  };
  const std::size_t limits = here.settings.size(), first = first_limit(request, here, candidate);
  here.steps.set(candidate, leanest(here.settings[std::min(first, limits - 1)]));
  double fastest = bound;
  bool faster = true, enough = false;
  for (std::size_t limit = first; limit < limits && faster && !enough; ++limit) {
    faster = false;  // smaller micro-batches take longer
    for (const Levels& levels : here.settings[limit]) {
      if (!set(levels.back())) {
        faster = faster || tried.step.seconds < fastest;  // with smaller ones it may fit
        continue;
      }
      bool fit = levels.size() == 1 || set(levels.front());
      if (tried.step.seconds >= fastest) continue;  // and what computes something again
      faster = true;
      for (std::size_t i = 1; i < levels.size() && !fit; ++i) fit = set(levels[i]);
      if (tried.step.seconds < fastest) {
        fastest = tried.step.seconds;
        candidate.plan = tried.plan;
        candidate.step = tried.step;
      }
      // More dealt over the ranks or smaller micro-batches would save what is not needed.
      if ((enough = tried.plan.recompute == levels.front().recompute)) break;
    }
  }
  candidate.too_large = std::move(tried.too_large);
}

// Of those, what may be faster than all that fit is made to fit, what may be fastest first.
class MakeThoseFit {
 public:
  explicit MakeThoseFit(const PlanRequest& request) : request_(request) {}

  void run(std::vector<std::pair<Candidate*, OfMesh*>> all) {
    for (const auto& [c, here] : all) note(*c);
    while (!all.empty()) {
      const auto next = std::min_element(all.begin(), all.end(), [](const auto& a, const auto& b) {
        return least_seconds(a) < least_seconds(b);
      });
      const auto [c, here] = *next;
      if (least_seconds(*next) >= fastest_) return;
      if (!here->more && !fits(request_, *c)) {
        here->more = seconds_more(request_, *here);
        continue;
      }
      all.erase(next);
      if (!fits(request_, *c)) make_fit(request_, *here, *c, fastest_);
      note(*c);
    }
  }

 private:
  static double least_seconds(const std::pair<Candidate*, OfMesh*>& one) {
    return one.first->step.seconds + one.second->more.value_or(0);
  }
  void note(const Candidate& c) {
    if (fits(request_, c)) fastest_ = std::min(fastest_, c.step.seconds);
  }

  const PlanRequest& request_;
  double fastest_ = std::numeric_limits<double>::infinity();  // that fits
};

}  // namespace

std::vector<std::vector<Candidate>> ranked(const PlanRequest& request, KnownPasses& passes,
                                           const BlockRequests& requests, const std::vector<Mesh>& meshes) {
  std::vector<std::unique_ptr<OfMesh>> known;
  std::vector<std::pair<Candidate*, OfMesh*>> likely;
  for (const Mesh& mesh : meshes) {
    known.push_back(std::make_unique<OfMesh>(OfMesh{
        .steps = Steps(request, passes, mesh), .settings = memory_settings(request, mesh), .all = {}}));
    OfMesh& here = *known.back();
    here.all = Pairs(request, requests, mesh, here.first(), here.steps).likely();
    for (Candidate& c : here.all) likely.emplace_back(&c, &here);
  }
  MakeThoseFit make_those_fit(request);
  make_those_fit.run(std::move(likely));
  const auto best_first = [&](OfMesh& here) {
    std::swap(here.all.front(), here.all[choose(request, here.all)]);
  };
  std::vector<Candidate> bests;
  for (const auto& here : known) {
    best_first(*here);
    bests.push_back(here->all.front());
  }
  // Beside the best of all stands what differs from it in either tower.
  OfMesh& here = *known[choose(request, bests)];
  const std::size_t before = here.all.size();
  const Candidate best = here.all.front();
  Pairs(request, requests, best.plan.mesh, here.first(), here.steps).add_visions(here.all, best);
  std::vector<std::pair<Candidate*, OfMesh*>> added;
  for (std::size_t i = before; i < here.all.size(); ++i) added.emplace_back(&here.all[i], &here);
  make_those_fit.run(std::move(added));
  best_first(here);
  std::vector<std::vector<Candidate>> all;
  for (const auto& of_mesh : known) all.push_back(std::move(of_mesh->all));
  return all;
}

std::vector<Candidate> with_setting(const PlanRequest& request, KnownPasses& passes,
                                    const BlockRequests& requests, const Mesh& mesh,
                                    const MemorySetting& setting) {
  Steps steps(request, passes, mesh);
  return Pairs(request, requests, mesh, setting, steps).all();
}

}  // namespace longsight::planning
