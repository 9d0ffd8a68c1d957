#include "model/step_flops.h"

#include "model/flops.h"

namespace longsight::model {
namespace {

double as_real(i64 n) {
  return static_cast<double>(n);
}

// Multiply-adds of a linear layer for one row, by what they are for.
struct LinearCost {
  double forward = 0, to_input = 0, to_weights = 0;
};

LinearCost cost_of(const LinearIds& ids, const ParameterRegistry& p) {
  LinearCost cost;
  if (!ids.present()) return cost;
  for (i64 part = 0; part < ids.parts; ++part) {
    const ParameterId weight = ids.weight + part;
    const double elements = as_real(p[weight].elements());
    const bool scaled = ids.scale != kNone && p.has_grad(ids.scale);  // its gradient is made of the weight's
    cost.forward += elements;
    cost.to_input += elements;
    cost.to_weights += p.has_grad(weight) || scaled ? elements : 0;
    if (ids.adapters.empty() || !ids.adapters[static_cast<std::size_t>(part)].present()) continue;
    const AdapterIds& adapter = ids.adapters[static_cast<std::size_t>(part)];
    const double a = as_real(p[adapter.a].elements()), b = as_real(p[adapter.b].elements());
    cost.forward += a + b;
    cost.to_input += a + b;  // dy B, and that by A
    cost.to_weights += (p.has_grad(adapter.a) ? a : 0) + (p.has_grad(adapter.b) ? b : 0);
  }
  return cost;
}

struct Blocks {
  double linear_rows = 0;  // rows of the stream
  PassFlops flops;

  // `pairs`: what the attention of `block` sees, as flops of its forward pass.
  void add(const Block& block, double attention, bool backward, const ParameterRegistry& p) {
    const BlockIds& ids = block.ids();
    for (const LinearIds* linear : {&ids.qkv, &ids.out, &ids.up, &ids.down}) {
      const LinearCost cost = cost_of(*linear, p);
      flops.forward += 2 * linear_rows * cost.forward;
      if (backward) flops.backward += 2 * linear_rows * (cost.to_input + cost.to_weights);
    }
    flops.forward += attention;
    if (backward) flops.backward += 2 * attention;
  }
};

PassFlops vision_pass(const Vlm& model, const parallel::Geometry& g) {
  const ParameterRegistry& p = model.parameters();
  const ModelConfig& c = model.config();
  Blocks blocks{.linear_rows = as_real(g.images.rows()), .flops = {}};
  const double patches = as_real(g.images.rows() - g.images.count() * c.vision.class_rows());
  const LinearCost patch = cost_of(model.ids().vision.patch, p);
  blocks.flops.forward += 2 * patches * patch.forward;
  if (model.vision().needs_gradient_below(0, p)) blocks.flops.backward += 2 * patches * patch.to_weights;
  for (i64 k = 0; k < model.vision().blocks(); ++k)
    blocks.add(model.vision().block(k), vision_attention_flops(c, g, k),
               model.vision().needs_gradient_below(k + 1, p), p);
  return blocks.flops;
}

// `below`: the tower needs a gradient.
PassFlops connector_pass(const Vlm& model, const parallel::Geometry& g, bool below) {
  const ParameterRegistry& p = model.parameters();
  const ConnectorIds& ids = model.ids().connector;
  const double rows = 2 * as_real(g.features());
  const LinearCost first = cost_of(ids.first, p), second = cost_of(ids.second, p);
  PassFlops flops{.forward = rows * (first.forward + second.forward), .backward = 0};
  if (!below && !model.connector().any_grad(p)) return flops;
  flops.backward = rows * (first.to_weights + second.to_weights + second.to_input);
  if (below || any_grad(ids.row_norm, p) || any_grad(ids.joined_norm, p))
    flops.backward += rows * first.to_input;
  return flops;
}

// `below`: its input needs a gradient.
PassFlops language_pass(const Vlm& model, const parallel::Geometry& g, bool below) {
  const ParameterRegistry& p = model.parameters();
  const LanguageIds& ids = model.ids().language;
  Blocks blocks{.linear_rows = as_real(g.samples.rows()), .flops = {}};
  const double head = 2 * as_real(g.supervised()) * as_real(p[ids.head].elements());
  blocks.flops.forward += head;
  blocks.flops.backward += head * (p.has_grad(ids.head) ? 2 : 1);
  const i64 first = model.language().blocks() - model.language().blocks_in_backward(below, p);
  for (i64 i = 0; i < model.language().blocks(); ++i)
    blocks.add(model.language().block(i), language_attention_flops(model.config(), g, i), i >= first, p);
  return blocks.flops;
}

}  // namespace

PassFlops pass_flops(const Vlm& model, const parallel::Geometry& g) {
  const ParameterRegistry& p = model.parameters();
  PassFlops all;
  const auto add = [&all](const PassFlops& part) {
    all.forward += part.forward;
    all.backward += part.backward;
  };
  bool below = p.has_grad(model.ids().language.embedding);
  if (model.config().has_vision() && g.images.count() > 0) {
    const bool tower = model.vision().needs_gradient_below(model.vision().blocks(), p);
    add(vision_pass(model, g));
    add(connector_pass(model, g, tower));
    below = below || tower || model.connector().any_grad(p);
  }
  add(language_pass(model, g, below));
  return all;
}

}  // namespace longsight::model
