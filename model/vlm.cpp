#include "model/vlm.h"

#include <algorithm>

#include "model/checkpoint.h"
#include "model/rope_table.h"
#include "model/vision_stream.h"

namespace longsight::model {

using parallel::AttentionKind;

namespace {

ModelIds register_all(const ModelConfig& config, const AdapterConfig& adapters, ParameterRegistry& registry) {
  ModelIds ids = register_parameters(config, registry);
  register_adapters(adapters, ids, registry);
  return ids;
}

ModelConfig untied(ModelConfig config) {
  untie(config);
  return config;
}

}  // namespace

Vlm::Vlm(ModelConfig config, const AdapterConfig& adapters)
    : config_(adapters.own_head ? untied(std::move(config)) : std::move(config)),
      adapters_(adapters),
      ids_(register_all(config_, adapters_, parameters_)),
      vision_(config_, ids_.vision),
      connector_(config_, ids_.connector),
      language_(config_, ids_.language) {}

const std::string& Vlm::name_in_file(ParameterId id) const {
  const auto found = file_names_.find(id);
  return found == file_names_.end() ? parameters_[id].name : found->second;
}

parallel::AttentionShape Vlm::vision_attention() const {
  const VisionConfig& v = config_.vision;
  return {.heads = v.heads, .kv_heads = v.heads, .width = v.head_width(), .causal = false, .window = 0};
}

parallel::AttentionShape Vlm::language_attention(bool windowed) const {
  const TextConfig& t = config_.text;
  return {.heads = t.heads,
          .kv_heads = t.kv_heads,
          .width = t.head_width,
          .causal = true,
          .window = windowed ? t.window : 0};
}

Pass::Pass(Vlm& model, const MicroBatch& batch, const parallel::Plan& plan, bool with_gradient,
           parallel::ProcessGroup& group, PassMemory& memory, Stream stream)
    : model_(model),
      batch_(batch),
      plan_(plan),
      with_gradient_(with_gradient),
      group_(group),
      memory_(memory),
      workspace_{{memory.saved, memory.scratch, memory.frames, stream}, model.parameters()},
      saved_begin_(memory.saved.mark()),
      frames_begin_(memory.frames.size()),
      layout_(make_layout(plan, batch.geometry)),
      checked_group_(group, cursor_) {
  check(plan.mesh.sequence == group.size(), "a plan for {} sequence ranks in a group of {}",
        plan.mesh.sequence, group.size());
  parts_ = make_parts();
  schedule_ = make_schedule();
  agree(schedule_, group, stream);
  cursor_.follow(schedule_);

  const i64 me = group.rank(), begin = layout_.language.begin(me), rows = layout_.language.rows(me);
  ids_.assign(batch.ids.begin() + begin, batch.ids.begin() + begin + rows);
  for (i64 row = 0; row < rows; ++row) {
    if (!model.config().is_placeholder(ids_[static_cast<std::size_t>(row)])) text_rows_.push_back(row);
  }
  for (i64 f : parts_.fusion->owned()) {
    source_rows_.push_back(batch.geometry.feature_rows[static_cast<std::size_t>(f)] -
                           layout_.vision.begin(me));
  }
}

Pass::~Pass() {
  memory_.frames.drop_to(frames_begin_);
  memory_.saved.rewind(saved_begin_);
}

Pass::Parts Pass::make_parts() {
  const parallel::Geometry& g = batch_.geometry;
  Parts parts;
  // One strategy serves all blocks of a tower that are planned for it and see the same keys.
  const auto strategies = [&](const std::vector<AttentionKind>& kinds, i64 blocks, const char* label,
                              auto&& windowed, auto&& made_for) {
    check(static_cast<i64>(kinds.size()) == blocks, "a plan for {} {} blocks of {}", kinds.size(), label,
          blocks);
    std::map<std::pair<AttentionKind, bool>, parallel::AttentionStrategy*> made;
    BlockAttention result;
    for (i64 i = 0; i < blocks; ++i) {
      const std::pair key(kinds[static_cast<std::size_t>(i)], windowed(i));
      if (!made.contains(key)) {
        parts.owned.push_back(made_for(key.first, key.second));
        made[key] = parts.owned.back().get();
      }
      result.push_back(made[key]);
    }
    return result;
  };
  const ModelConfig& config = model_.config();
  parts.vision = strategies(
      plan_.vision, model_.vision().blocks(), "vision", [&](i64 i) { return config.vision.windowed(i); },
      [&](AttentionKind kind, bool windowed) {
        return make_attention(kind, model_.vision_attention(),
                              {windowed ? g.windows : g.images, layout_.vision}, checked_group_,
                              windowed ? "vision windows" : "vision");
      });
  parts.language = strategies(
      plan_.language, model_.language().blocks(), "language", [&](i64 i) { return config.text.windowed(i); },
      [&](AttentionKind kind, bool windowed) {
        return make_attention(kind, model_.language_attention(windowed),
                              {g.samples, layout_.language, g.prefixes}, checked_group_,
                              windowed ? "language windows" : "language");
      });
  parts.fusion = make_fusion_exchange(plan_.fusion, g, layout_, checked_group_);
  parts.loss = std::make_unique<parallel::LossBalance>(g, layout_, checked_group_);
  return parts;
}

// The mirror of forward() and backward() below, without the work.
parallel::Schedule Pass::make_schedule() const {
  const DType dtype = model_.parameters().dtype();
  const i64 width = model_.language().width();
  const ParameterRegistry& p = model_.parameters();
  parallel::Schedule s;
  const auto add = [&](const auto& exchanges) { s.add(group_.label(), dtype, exchanges); };
  const auto forward = [&](const BlockAttention& blocks) {
    for (const auto* attention : blocks) add(attention->forward_exchanges());
  };
  const auto backward = [&](const BlockAttention& blocks, i64 block) {
    add(blocks[static_cast<std::size_t>(block)]->backward_exchanges());
  };
  if (has_images()) {
    forward(parts_.vision);
    add(parts_.fusion->rows().forth.times(width));
  }
  forward(parts_.language);
  add(parts_.loss->exchanged().forth.times(width));
  if (!with_gradient_) return s;
  add(parts_.loss->exchanged().back.times(width));
  const i64 blocks = model_.language().blocks(),
            run = model_.language().blocks_in_backward(embeddings_need_gradient(), p);
  for (i64 i = blocks - 1; i >= blocks - run; --i) backward(parts_.language, i);
  if (!features_need_gradient()) return s;
  add(parts_.fusion->rows().back.times(width));
  if (!vision_needs_gradient()) return s;
  for (i64 k = model_.vision().blocks() - 1; k >= 0; --k) {
    if (!model_.vision().needs_gradient_below(k + 1, p)) break;
    backward(parts_.vision, k);
  }
  return s;
}

bool Pass::vision_needs_gradient() const {
  return has_images() && model_.vision().needs_gradient_below(model_.vision().blocks(), model_.parameters());
}

bool Pass::features_need_gradient() const {
  return has_images() && (model_.connector().any_grad(model_.parameters()) || vision_needs_gradient());
}

bool Pass::embeddings_need_gradient() const {
  return features_need_gradient() || model_.parameters().has_grad(model_.ids().language.embedding);
}

// ---- forward

void Pass::forward() {
  const DType dtype = model_.parameters().dtype();
  const i64 me = group_.rank(), width = model_.language().width();
  if (has_images()) {
    vision_rows_ = vision_rows(batch_, model_.config(), layout_.vision.begin(me), layout_.vision.end(me),
                               dtype, memory_.saved, workspace_.stream);
    const std::vector<Tensor> states = model_.vision().forward(vision_rows_, parts_.vision, workspace_);
    features_ = model_.connector().forward(states, source_rows_, workspace_);
  }
  Tensor x = memory_.saved.take(dtype, {layout_.language.rows(me), width}, "fused embeddings");
  model_.language().embed(x, ids_, model_.parameters(), workspace_.stream);
  if (has_images()) parts_.fusion->forward(x, features_, memory_.scratch, workspace_.stream);
  const auto mine = [&](const auto& of_all) {
    if (of_all.empty()) return std::span(of_all);
    return std::span(of_all).subspan(static_cast<std::size_t>(layout_.language.begin(me)),
                                     static_cast<std::size_t>(x.rows()));
  };
  rope_ = rope_table(model_.config().text, mine(batch_.positions), mine(batch_.rope_lengths), dtype,
                     memory_.saved);
  hidden_ = model_.language().forward(x, rope_, parts_.language, workspace_);
}

double Pass::loss() {
  check(!with_gradient_, "a pass with gradients ends in loss_and_backward");
  const double sum = model_.language().loss(hidden_, *parts_.loss, workspace_);
  cursor_.finish();
  return sum;
}

double Pass::loss_and_backward(double scale) {
  check(with_gradient_, "a pass without gradients ends in loss");
  const ArenaScope scope(memory_.scratch);
  Tensor d = memory_.scratch.take(hidden_.dtype(), hidden_.shape(), "gradient of language rows");
  const double sum = model_.language().loss_and_gradient(d, hidden_, *parts_.loss, scale, workspace_);
  backward(d);
  cursor_.finish();
  return sum;
}

void Pass::logits(Tensor out) const {
  model_.language().logits(out, hidden_, workspace_);
}

// ---- backward: the mirror of forward

void Pass::backward(Tensor d) {
  if (!model_.language().backward(d, rope_, parts_.language, embeddings_need_gradient(), workspace_)) return;
  model_.language().embed_backward(d, ids_, text_rows_, workspace_);
  if (!features_need_gradient()) return;
  const ArenaScope scope(memory_.scratch);
  Tensor d_features = memory_.scratch.take(d.dtype(), features_.shape(), "gradient of features");
  parts_.fusion->backward(d_features, d, memory_.scratch, workspace_.stream);
  const Tensor d_input = model_.connector().backward(d_features, vision_needs_gradient(), workspace_);
  if (!vision_needs_gradient()) return;
  model_.vision().backward(vision_rows_, parts_.vision, workspace_, [&](i64 k, Tensor d_state) {
    model_.connector().add_state_gradient(d_state, d_input, k, source_rows_, workspace_);
  });
}

}  // namespace longsight::model
