#include "model/pass.h"

#include "model/inputs/rope_table.h"
#include "parallel/groups/trace_group.h"

namespace longsight::model {

PassMemory& PassMemory::traced() {
  if (!traced_) traced_ = std::make_unique<PassMemory>(Backend::trace);
  return *traced_;
}

PassProgram::PassProgram(Vlm& model, const PassInputs& inputs, bool with_gradient, PassMemory& memory,
                         parallel::ProcessGroup& group, Stream stream, const DealtOver& dealt)
    : model_(model),
      inputs_(inputs),
      with_gradient_(with_gradient),
      memory_(memory),
      workspace_{{memory.saved, memory.scratch, memory.frames, group, stream, dealt.world, dealt.own_squares},
                 model.parameters()},
      saved_begin_(memory.saved.mark()),
      frames_begin_(memory.frames.size()) {
  check(inputs.layout().ranks == group.size() && inputs.rank == group.rank(),
        "inputs of rank {} of {} on rank {} of {}", inputs.rank, inputs.layout().ranks, group.rank(),
        group.size());
}

PassProgram::~PassProgram() {
  memory_.frames.drop_to(frames_begin_);
  memory_.saved.rewind(saved_begin_);
}

bool PassProgram::vision_is_trained() const {
  return model_.vision().needs_gradient_below(model_.vision().blocks(), model_.parameters());
}

bool PassProgram::features_are_trained() const {
  return model_.connector().any_grad(model_.parameters()) || vision_is_trained();
}

bool PassProgram::embeddings_need_gradient(bool images) const {
  return (images && features_are_trained()) || model_.parameters().has_grad(model_.ids().language.embedding);
}

// ---- forward

void PassProgram::forward() {
  const DType dtype = model_.parameters().precision().activations;
  const Stream stream = workspace_.stream;
  loss_ = memory_.saved.take(DType::F64, {1}, "loss");
  fill_zero(loss_, stream);
  forward_vision();
  begin_part(stream, "language");
  const Tensor x =
      memory_.saved.take(dtype, {inputs_.ids.size(), model_.language().width()}, "fused embeddings");
  model_.language().embed(x, inputs_.ids, workspace_);
  if (inputs_.has_images()) {
    begin_part(stream, "fusion");
    inputs_.fusion.forward(x, features_, workspace_);
    begin_part(stream, "language");
  }
  rope_ = rope_table(inputs_.angles, dtype, memory_.saved, stream);
  hidden_ = model_.language().forward(x, rope_, inputs_.language_blocks, workspace_);
}

void PassProgram::forward_vision() {
  const Stream stream = workspace_.stream;
  if (!inputs_.has_images() && !inputs_.images_elsewhere) return;
  begin_part(stream, "vision");
  if (!inputs_.has_images()) {
    model_.vision().stand_by_forward(workspace_);
    begin_part(stream, "connector");
    return model_.connector().stand_by_forward(workspace_);
  }
  vision_rows_ = inputs_.vision.rows(memory_.saved, stream);
  const std::vector<Tensor> states = model_.vision().forward(vision_rows_, inputs_.vision_blocks, workspace_);
  begin_part(stream, "connector");
  features_ = model_.connector().forward(states, inputs_.connector_rows, workspace_);
}

Tensor PassProgram::loss() {
  check(!with_gradient_, "a pass with gradients ends in loss_and_backward");
  begin_part(workspace_.stream, "loss");
  model_.language().loss(loss_, hidden_, inputs_.loss, workspace_);
  return loss_;
}

Tensor PassProgram::loss_and_backward(double scale) {
  check(with_gradient_, "a pass without gradients ends in loss");
  const ArenaScope scope(memory_.scratch);
  const Tensor d = memory_.scratch.take(hidden_.dtype(), hidden_.shape(), "gradient of language rows");
  begin_part(workspace_.stream, "loss");
  model_.language().loss_and_gradient(loss_, d, hidden_, inputs_.loss, scale, workspace_);
  backward(d);
  return loss_;
}

void PassProgram::logits(Tensor out) const {
  model_.language().logits(out, hidden_, workspace_);
}

// ---- backward: the mirror of forward

void PassProgram::backward(Tensor d) {
  const Stream stream = workspace_.stream;
  begin_part(stream, "language");
  const bool below = model_.language().backward(
      d, rope_, inputs_.language_blocks, embeddings_need_gradient(inputs_.has_images()),
      embeddings_need_gradient(inputs_.images_elsewhere), workspace_);
  if (below) model_.language().embed_backward(d, inputs_.text_rows, inputs_.text_ids, workspace_);
  if (!features_are_trained()) return;
  if (!inputs_.has_images()) {
    if (inputs_.images_elsewhere) stand_by_backward();
    return;
  }
  begin_part(stream, "fusion");
  const ArenaScope scope(memory_.scratch);
  const Tensor d_features = memory_.scratch.take(d.dtype(), features_.shape(), "gradient of features");
  inputs_.fusion.backward(d_features, d, workspace_);
  begin_part(stream, "connector");
  const Tensor d_input = model_.connector().backward(d_features, vision_is_trained(), workspace_);
  if (!vision_is_trained()) return;
  begin_part(stream, "vision");
  model_.vision().backward(vision_rows_, inputs_.vision_blocks, workspace_, [&](i64 k, Tensor d_state) {
    model_.connector().add_state_gradient(d_state, d_input, k, inputs_.connector_rows, workspace_);
  });
}

void PassProgram::stand_by_backward() {
  begin_part(workspace_.stream, "connector");
  model_.connector().stand_by_backward(workspace_);
  if (!vision_is_trained()) return;
  begin_part(workspace_.stream, "vision");
  model_.vision().stand_by_backward(workspace_);
}

// ---- traced, and run

PassTrace trace_pass(Vlm& model, const PassInputs& inputs, bool with_gradient, PassMemory& traced,
                     std::string group, bool takes_tiles) {
  PassTrace trace;
  trace.work.takes_tiles = takes_tiles;
  parallel::TraceGroup listed(narrow<int>(inputs.rank), narrow<int>(inputs.layout().ranks), std::move(group));
  const Sharding& sharding = model.parameters().sharding();
  parallel::TraceGroup world(narrow<int>(sharding.rank), narrow<int>(sharding.ranks), parallel::kWorldLabel,
                             listed);
  traced.saved.reset_high_water();
  traced.scratch.reset_high_water();
  {
    PassProgram program(model, inputs, with_gradient, traced, listed, trace.work.stream(),
                        {.world = &world, .own_squares = {}});
    program.forward();
    if (with_gradient) {
      program.loss_and_backward(1);
    } else {
      program.loss();
    }
  }
  trace.schedule = listed.take_schedule();
  trace.places = listed.places();
  trace.saved = traced.saved.high_water();
  trace.scratch = traced.scratch.high_water();
  trace.scratch_table = traced.scratch.by_label();
  return trace;
}

namespace {

// What the ranks of one group issue in it.
parallel::Schedule of_group(const parallel::Schedule& all, const std::string& label) {
  parallel::Schedule some;
  for (const parallel::ScheduleEntry& entry : all.entries()) {
    if (entry.group == label) some.add(entry);
  }
  return some;
}

}  // namespace

Pass::Pass(Vlm& model, const PassInputs& inputs, bool with_gradient, parallel::ProcessGroup& group,
           PassMemory& memory, Stream stream, const DealtOver& dealt)
    : trace_(trace_pass(model, inputs, with_gradient, memory.traced(), group.label())),
      checked_group_(group, cursor_) {
  agree(trace_.schedule, group, stream);
  DealtOver checked = dealt;
  if (model.parameters().sharding().gradients()) {
    check(dealt.world != nullptr, "parameters are dealt over ranks, and the pass knows of no world");
    agree(of_group(trace_.schedule, dealt.world->label()), *dealt.world, stream);
    checked_world_.emplace(*dealt.world, cursor_);
    checked.world = &*checked_world_;
  }
  cursor_.follow(trace_.schedule);
  program_ =
      std::make_unique<PassProgram>(model, inputs, with_gradient, memory, checked_group_, stream, checked);
}

Tensor Pass::loss() {
  const Tensor sum = program_->loss();
  cursor_.finish();
  return sum;
}

Tensor Pass::loss_and_backward(double scale) {
  const Tensor sum = program_->loss_and_backward(scale);
  cursor_.finish();
  return sum;
}

}  // namespace longsight::model
