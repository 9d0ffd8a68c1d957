#include "launch/planning/plan_reasons.h"

#include <algorithm>

#include "launch/planning/units.h"

namespace longsight::planning {
namespace {

// Query heads of the fullest rank, and the share of its time that an average rank is busy: 28 heads on 8
// ranks: 4, 0.875.
i64 fullest_heads(i64 heads, i64 ranks) {
  return ceil_div(heads, ranks);
}

double head_efficiency(i64 heads, i64 ranks) {
  return static_cast<double>(heads) / static_cast<double>(ranks * fullest_heads(heads, ranks));
}

std::string kinds_text(const std::vector<AttentionKind>& kinds) {
  if (kinds.empty()) return "none";
  for (AttentionKind kind : kinds) {
    if (kind != kinds.front()) return "mixed";
  }
  return parallel::name_of(kinds.front());
}

std::string compared(const PlanRequest& request, const StepPrediction& chosen, const StepPrediction& other) {
  const i64 budget = request.options.memory_budget, needed = other.memory.total();
  const bool too_large = budget > 0 && needed > budget;
  const std::string needs =
      too_large ? fmt::format("needs {} of {}", bytes_text(needed), bytes_text(budget)) : "";
  if (other.seconds < chosen.seconds) return too_large ? needs : "not what was asked for";
  const double times = other.seconds / chosen.seconds;
  if (too_large) return fmt::format("{:.2f} x the time, and {}", times, needs);
  if (times < 1.0005) return "no faster";
  return times < 1.01 ? fmt::format("no faster (+ {:.1f} %)", 100 * (times - 1))
                      : fmt::format("{:.2f} x the time", times);
}

Rejected rejected(std::string alternative, const StepPrediction& step, std::string reason) {
  return {std::move(alternative), step.seconds, step.exchange_bytes, step.memory.total(), std::move(reason)};
}

// Those that differ from the best in one tower's open blocks only.
std::vector<const Candidate*> alternatives(Tower tower, const std::vector<Candidate>& all) {
  const Candidate& best = all.front();
  std::vector<const Candidate*> others;
  for (std::size_t i = 1; i < all.size(); ++i) {
    const bool vision = all[i].open_vision != best.open_vision,
               language = all[i].open_language != best.open_language || all[i].plan.split != best.plan.split;
    if (tower == Tower::vision ? vision && !language : language && !vision) others.push_back(&all[i]);
  }
  return others;
}

AttentionKind open_kind(Tower tower, const Candidate& c) {
  return tower == Tower::vision ? c.open_vision : c.open_language;
}

std::string split_text(Split split) {
  return split == Split::equal ? "" : fmt::format(" in a {}", name_of(split));
}

// The parts of a step that a tower's strategy and cut change.
double tower_seconds(Tower tower, const Candidate& c) {
  double sum = 0;
  for (const auto& [part, seconds] : c.step.seconds_by_part) {
    const bool own = tower == Tower::vision ? part == "vision" || part == "connector"
                                            : part == "language" || part == "loss";
    if (own || part == "fusion") sum += seconds;
  }
  return sum;
}

// Strategies of which some of the ranks would hold no head.
std::vector<Strategy> without_heads(Tower tower, const TowerFacts& shape, const Plan& plan) {
  std::vector<Strategy> some;
  for (AttentionKind kind : parallel::legal_for(tower)) {
    const Strategy& s = parallel::strategy_of(kind);
    if (s.ranks_sharing_heads(plan.mesh.sequence, plan.node, shape.heads) > shape.heads) some.push_back(s);
  }
  return some;
}

std::string open_reason(Tower tower, const TowerFacts& shape, const std::vector<Candidate>& all,
                        const TypicalStep& step) {
  const i64 ranks = step.mesh().sequence;
  if (ranks == 1) return "one rank holds whole sequences";
  if (tower == Tower::vision && step.summary().images == 0) return "no images in the step that was counted";
  const Candidate& chosen = all.front();
  std::string others;
  bool faster = false;
  for (const Candidate* other : alternatives(tower, all)) {
    if (open_kind(tower, *other) == open_kind(tower, chosen)) continue;  // another split: see split_reason
    others +=
        fmt::format("{}{}{} {}", others.empty() ? "" : ", ", parallel::name_of(open_kind(tower, *other)),
                    split_text(other->plan.split), seconds_text(tower_seconds(tower, *other)));
    faster = faster || other->step.seconds < chosen.step.seconds;
  }
  std::string text = others.empty()
                         ? "the only one"
                         : fmt::format("{}: {}, {}", faster ? "fastest within the memory budget" : "fastest",
                                       seconds_text(tower_seconds(tower, chosen)), others);
  for (const Strategy& s : without_heads(tower, shape, chosen.plan))
    text += fmt::format("; no {}, {} ranks for {} query heads", s.name, ranks, shape.heads);
  return text;
}

// Blocks that exist, in the order in which they run.
class Decisions {
 public:
  // all: the candidates at the chosen degree, the chosen one first.
  Decisions(const PlanRequest& request, const BlockRequests& requests, const std::vector<Candidate>& all,
            const TypicalStep& step)
      : request_(request), all_(all), step_(step) {
    const ModelFacts m = model_facts(request.model.config());
    const Plan& plan = all.front().plan;
    if (m.vision.blocks > 0) {
      rows(m.vision.name + ".embeddings", model::ModuleKind::embedding, "row by row: nothing moves");
      tower(Tower::vision, m.vision, model::ModuleKind::vision_attention, requests.vision, plan.vision);
      connector();
    }
    rows(m.language.name + ".embeddings", model::ModuleKind::embedding, "row by row: nothing moves");
    tower(Tower::language, m.language, model::ModuleKind::language_attention, requests.language,
          plan.language);
    rows(m.language.name + ".head", model::ModuleKind::head,
         plan.mesh.sequence == 1 ? "rows with a label only"
                                 : "rows with a label only, spread evenly over the sequence group");
  }

  std::vector<BlockDecision> take() { return std::move(blocks_); }

 private:
  void rows(std::string name, model::ModuleKind kind, std::string reason) {
    blocks_.push_back(
        {.name = std::move(name), .kind = kind, .strategy = "rows", .reason = std::move(reason)});
  }

  void connector() {
    const bool owner = request_.options.fusion == FusionKind::owner;
    const char* reason = step_.mesh().sequence == 1 ? "one rank holds all rows"
                         : owner ? "each visual token goes to the rank that owns its position"
                                 : "asked for: every rank gets every visual token";
    blocks_.push_back({.name = "connector",
                       .kind = model::ModuleKind::projection,
                       .strategy = parallel::name_of(request_.options.fusion),
                       .reason = reason});
  }

  void tower(Tower which, const TowerFacts& shape, model::ModuleKind kind,
             const std::vector<BlockRequest>& requests, const std::vector<AttentionKind>& kinds) {
    const i64 ranks = step_.mesh().sequence;
    for (i64 i = 0; i < shape.blocks; ++i) {
      const BlockRequest& asked = requests[static_cast<std::size_t>(i)];
      const AttentionKind strategy = kinds[static_cast<std::size_t>(i)];
      BlockDecision block{.name = fmt::format("{}.{}", shape.name, i),
                          .kind = kind,
                          .heads = shape.heads,
                          .kv_heads = shape.kv_heads,
                          .strategy = parallel::name_of(strategy),
                          .recompute = all_.front().plan.recompute,
                          .reason = asked.attention ? "asked for by " + asked.source
                                                    : open_reason(which, shape, all_, step_)};
      const i64 sharing =
          parallel::strategy_of(strategy).ranks_sharing_heads(ranks, all_.front().plan.node, shape.heads);
      if (sharing > 1 && sharing < ranks)
        block.reason +=
            fmt::format("; {} neighbouring ranks share the heads, keys and values go round {} such groups",
                        sharing, ranks / sharing);
      if (sharing > 1) {
        block.head_efficiency = head_efficiency(shape.heads, sharing);
        if (block.head_efficiency < 1) {
          block.reason +=
              fmt::format("; the fullest rank has {} of {} heads (efficiency {:.0f} %)",
                          fullest_heads(shape.heads, sharing), shape.heads, 100 * block.head_efficiency);
        }
      }
      if (!shape.module.empty()) block.module = fmt::format("{}.{}", shape.module, i);
      const std::string mlp = block.name + ".mlp", module = block.module;
      blocks_.push_back(std::move(block));
      rows(mlp, model::ModuleKind::mlp, "row by row: nothing moves");
      blocks_.back().module = module;
    }
  }

  const PlanRequest& request_;
  const std::vector<Candidate>& all_;
  const TypicalStep& step_;
  std::vector<BlockDecision> blocks_;
};

}  // namespace

std::string sequence_reason(const PlanRequest& request, const Considered& considered) {
  const std::vector<Candidate>& all = considered.degrees;
  const std::size_t chosen = considered.chosen;
  const i64 degree = all[chosen].plan.mesh.sequence;
  if (request.options.sequence) return "asked for by parallel.sequence";
  if (request.world == 1) return "one rank";
  if (!fits(request, all[chosen])) return "no degree fits into the memory budget: this one needs least";
  std::string too_large;
  const Candidate* next = nullptr;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i == chosen) continue;
    if (!fits(request, all[i]) && !all[i].too_large.empty()) {
      too_large += fmt::format("{}{}", too_large.empty() ? "" : ", ", all[i].plan.mesh.sequence);
    } else if (next == nullptr || all[i].step.seconds < next->step.seconds) {
      next = &all[i];
    }
  }
  std::string text = degree == 1               ? "each rank works on its own samples"
                     : degree == request.world ? "all ranks share each sequence"
                                               : fmt::format("{} ranks share each sequence", degree);
  text += fmt::format(": {} a step", seconds_text(all[chosen].step.seconds));
  if (next != nullptr)
    text += fmt::format(", next best degree {}: {}", next->plan.mesh.sequence,
                        compared(request, all[chosen].step, next->step));
  if (!too_large.empty()) text += fmt::format("; over the memory budget: degree {}", too_large);
  return text;
}

std::string memory_reason(const PlanRequest& request, const Considered& considered) {
  if (request.options.recompute && (request.options.micro_batch_tokens || request.samples.size() == 1))
    return "asked for by memory.recompute";
  const Candidate& best = considered.here.front();
  if (request.options.memory_budget == 0) return "no memory budget";
  if (best.too_large.empty()) return "all that backward needs fits";
  std::string less;
  for (const auto& [setting, bytes] : best.too_large)
    less += fmt::format("{}{} needs {}", less.empty() ? "" : ", ", setting.text(), bytes_text(bytes));
  return fmt::format("the memory budget is {}: {}", bytes_text(request.options.memory_budget), less);
}

std::string zero_reason(const PlanRequest& request, const Considered& considered) {
  if (request.world == 1) return "one rank holds all";
  if (request.options.zero) return "asked for by parallel.zero";
  const Candidate& best = considered.here.front();
  if (request.options.memory_budget == 0) return "no memory budget";
  if (best.plan.zero == 0)
    return fits(request, best) ? "all fits on every rank" : "no stage fits into the memory budget";
  return fmt::format(
      "the memory budget is {}: with all on every rank and nothing computed again it needs {}{}",
      bytes_text(request.options.memory_budget), bytes_text(best.too_large.front().second),
      fits(request, best) ? "" : "; no stage fits, this one needs least");
}

std::string split_reason(const PlanRequest& request, const Considered& considered) {
  const Candidate& best = considered.here.front();
  if (best.plan.mesh.sequence == 1) return "one rank holds whole samples";
  if (cuts_between_sequences(best.plan.language)) return "no sample lies on two ranks";
  if (request.options.split) return "asked for by parallel.fusion.split";
  for (const Candidate& other : considered.here) {
    if (other.open_vision != best.open_vision || other.open_language != best.open_language ||
        other.plan.split == best.plan.split)
      continue;
    return fmt::format("later tokens see more keys; {}: {}",
                       other.plan.split == Split::equal ? "in equal ranges" : "in a zigzag",
                       compared(request, best.step, other.step));
  }
  return "every rank works on all tokens, with some of the heads";
}

std::vector<BlockDecision> block_decisions(const PlanRequest& request, const BlockRequests& requests,
                                           const Considered& considered, const TypicalStep& step) {
  return Decisions(request, requests, considered.here, step).take();
}

namespace {

// What an alternative does about memory, where the plan does something else.
std::string setting_text(const Plan& chosen, const Plan& other) {
  if (setting_of(chosen) == setting_of(other)) return "";
  return ", recompute " + setting_of(other).text();
}

// What would have been faster, had it fit.
void add_settings(const PlanRequest& request, KnownPasses& passes, const Candidate& best,
                  std::vector<Rejected>& all) {
  for (const auto& [setting, bytes] : best.too_large) {
    Plan plan = best.plan;
    setting.apply(plan);
    const StepPrediction step =
        TypicalStep(request, passes, plan.mesh, plan.micro_batch_tokens).predict(plan);
    all.push_back(rejected("recompute " + setting.text(), step, compared(request, best.step, step)));
  }
}

// Where most of the time goes to links, and for which part.
void add_link_warning(const StepPrediction& step, std::vector<std::string>& warnings) {
  constexpr double kMost = 0.5;
  const bool network = step.network_seconds > step.link_seconds;
  const double on_links = step.link_seconds + step.network_seconds;
  if (on_links <= kMost * step.seconds) return;
  const auto most = std::max_element(step.exchange_by_part.begin(), step.exchange_by_part.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  warnings.push_back(fmt::format(
      "{:.0f} % of the step goes to exchanges, most of it to the {}: {} of {} are moved for {}",
      100 * on_links / step.seconds, network ? "network between nodes" : "links between the ranks of a node",
      bytes_text(most->second), bytes_text(step.exchange_bytes), most->first));
}

}  // namespace

std::vector<Rejected> rejected_alternatives(const PlanRequest& request, KnownPasses& passes,
                                            const BlockRequests& requests, const Considered& considered,
                                            const TypicalStep& step) {
  const Candidate& best = considered.here.front();
  std::vector<Rejected> all;
  for (std::size_t i = 0; i < considered.degrees.size(); ++i) {
    if (i == considered.chosen) continue;
    const Candidate& other = considered.degrees[i];
    const Mesh& mesh = other.plan.mesh;
    all.push_back(rejected(fmt::format("sequence {} (data {}): vision {}, language {}{}", mesh.sequence,
                                       mesh.data, kinds_text(other.plan.vision),
                                       kinds_text(other.plan.language) + split_text(other.plan.split),
                                       setting_text(best.plan, other.plan)),
                           other.step, compared(request, best.step, other.step)));
  }
  add_settings(request, passes, best, all);
  const i64 ranks = step.mesh().sequence;
  const auto add_tower = [&](Tower tower, const TowerFacts& shape, const std::vector<BlockRequest>& asked,
                             std::vector<AttentionKind> Plan::*blocks) {
    for (const Candidate* other : alternatives(tower, considered.here)) {
      const AttentionKind kind = open_kind(tower, *other);
      const std::string what =
          kind == open_kind(tower, best)
              ? fmt::format("split {}", name_of(other->plan.split))
              : fmt::format("attention {}{}", parallel::name_of(kind), split_text(other->plan.split));
      all.push_back(rejected(fmt::format("{} {}{}", shape.name, what, setting_text(best.plan, other->plan)),
                             other->step, compared(request, best.step, other->step)));
    }
    if (!any_open(asked)) return;
    for (const Strategy& s : without_heads(tower, shape, best.plan)) {
      Plan plan = best.plan;
      plan.*blocks = filled(asked, s.kind);
      all.push_back(rejected(fmt::format("{} attention {}", shape.name, s.name), step.predict(plan),
                             fmt::format("{} ranks for {} query heads: {} would hold none", ranks,
                                         shape.heads, ranks - shape.heads)));
    }
  };
  const ModelFacts facts = model_facts(request.model.config());
  add_tower(Tower::vision, facts.vision, requests.vision, &Plan::vision);
  add_tower(Tower::language, facts.language, requests.language, &Plan::language);
  return all;
}

std::vector<std::string> plan_warnings(const PlanRequest& request, const Candidate& chosen,
                                       const TypicalStep& step) {
  std::vector<std::string> warnings;
  const ModelFacts m = model_facts(request.model.config());
  const i64 ranks = chosen.plan.mesh.sequence;
  const auto heads = [&](Tower tower, const TowerFacts& shape, const std::vector<AttentionKind>& kinds) {
    for (const Strategy& s : without_heads(tower, shape, chosen.plan)) {
      if (std::find(kinds.begin(), kinds.end(), s.kind) == kinds.end()) continue;
      warnings.push_back(
          fmt::format("{} attention {} over {} ranks with {} query heads: {} ranks hold none and wait",
                      shape.name, s.name, ranks, shape.heads, ranks - shape.heads));
    }
  };
  heads(Tower::vision, m.vision, chosen.plan.vision);
  heads(Tower::language, m.language, chosen.plan.language);
  if (const i64 empty = step.ranks_without_tokens(chosen.plan); empty > 0)
    warnings.push_back(
        fmt::format("{} of {} ranks of a sequence group hold no token of the step and wait", empty, ranks));
  if (const i64 empty = step.ranks_without_pictures(chosen.plan); empty > 0)
    warnings.push_back(
        fmt::format("{} of {} ranks of a sequence group hold no picture's rows and wait in the vision tower",
                    empty, ranks));
  add_link_warning(chosen.step, warnings);
  if (const i64 idle = step.idle_groups(); idle > 0) {
    warnings.push_back(fmt::format("{} of {} data groups have no samples in a step of {}", idle,
                                   chosen.plan.mesh.data, step.summary().samples));
  }
  return warnings;
}

}  // namespace longsight::planning
