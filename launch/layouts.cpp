#include "launch/layouts.h"

namespace longsight::launch {

std::vector<parallel::Plan> all_layouts(const parallel::Plan& own, const model::Vlm& model) {
  using parallel::AttentionKind;
  using parallel::FusionKind;
  std::vector<parallel::Plan> plans;
  const auto add = [&](const parallel::Mesh& mesh, AttentionKind vision, AttentionKind language,
                       FusionKind fusion, parallel::Split split = parallel::Split::equal) {
    plans.push_back(parallel::uniform_plan(mesh, model.vision().blocks(), vision, model.language().blocks(),
                                           language, fusion));
    plans.back().recompute = own.recompute;
    plans.back().micro_batch_tokens = own.micro_batch_tokens;
    plans.back().split = split;
    plans.back().node = own.node;
  };
  const i64 world = own.mesh.world;
  for (i64 sequence = 1; sequence <= world; ++sequence) {
    if (world % sequence != 0) continue;
    const parallel::Mesh mesh = parallel::make_mesh(world, sequence);
    if (sequence == 1) {
      add(mesh, AttentionKind::local, AttentionKind::local, FusionKind::owner);
      continue;
    }
    for (AttentionKind v : different_for(parallel::Tower::vision)) {
      for (AttentionKind l : different_for(parallel::Tower::language)) {
        for (FusionKind f : {FusionKind::owner, FusionKind::gather}) {
          add(mesh, v, l, f);
          if (parallel::splits_causal_rows({&l, 1}, sequence, own.node, model.config().text.heads))
            add(mesh, v, l, f, parallel::Split::zigzag);
        }
      }
    }
  }
  // What is dealt over the ranks is another matter than who holds which rows: one layout of each degree.
  std::vector<parallel::Plan> dealt;
  for (const parallel::Plan& plan : plans) {
    if (world == 1 || (!dealt.empty() && dealt.back().mesh == plan.mesh)) continue;
    for (const int zero : {1, 2, 3}) {
      dealt.push_back(plan);
      dealt.back().zero = zero;
    }
  }
  plans.insert(plans.end(), dealt.begin(), dealt.end());
  return plans;
}

}  // namespace longsight::launch
