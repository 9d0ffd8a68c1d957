#include "parallel/memory_model.h"

#include <algorithm>

#include "parallel/block_memory.h"
#include "parallel/fusion_exchange.h"
#include "parallel/layout.h"
#include "parallel/loss_balance.h"

namespace longsight::parallel {
namespace {

// Rows at the heads of images, by the rank that holds them.
std::vector<i64> class_rows_by_rank(const Geometry& frame, const Cuts& vision) {
  std::vector<i64> rows(static_cast<std::size_t>(vision.ranks()), 0);
  if (frame.class_rows == 0) return rows;
  const std::vector<i64>& starts = frame.images.starts;
  const auto before = [&](i64 row) { return std::lower_bound(starts.begin(), starts.end() - 1, row); };
  for (i64 r = 0; r < vision.ranks(); ++r)
    rows[static_cast<std::size_t>(r)] = before(vision.end(r)) - before(vision.begin(r));
  return rows;
}

const std::vector<AttentionKind>& no_blocks() {
  static const std::vector<AttentionKind> none;
  return none;
}

}  // namespace

struct PassMemoryModel::Facts {
  Facts(const ModelShape& model, const Plan& plan_, const BatchShape& batch, int threads)
      : m(model),
        plan(plan_),
        images(batch.frame.images.count() > 0),
        layout(make_layout(plan_, batch.frame)),
        class_rows(class_rows_by_rank(batch.frame, layout.vision)),
        features(fusion_exchanges(FusionKind::owner, batch.features, layout).forth.counts),
        supervised(loss_exchanges(batch.supervised, layout.language).forth.counts),
        // Statistics of a typical step hold no windows of images: the whole ones are an upper bound.
        vision(model.vision, {images ? plan_.vision : no_blocks(), model.vision.backward_blocks},
               batch.frame.images,
               batch.frame.windows.rows() == batch.frame.images.rows() ? batch.frame.windows
                                                                       : batch.frame.images,
               layout.vision, {}, model.dtype, threads),
        language(model.language, {plan_.language, model.language_backward_blocks(images)},
                 batch.frame.samples, batch.frame.samples, layout.language, batch.frame.prefixes, model.dtype,
                 threads) {}

  i64 bytes(i64 elements) const { return Arena::bytes_of(m.dtype, elements); }
  i64 vision_rows(i64 rank) const { return layout.vision.rows(rank); }
  i64 patches(i64 rank) const { return vision_rows(rank) - class_rows[static_cast<std::size_t>(rank)]; }
  i64 owned(i64 rank) const { return features.total_sent_by(rank); }         // connector rows
  i64 consumed(i64 rank) const { return features.total_received_by(rank); }  // of its language rows
  i64 projected(i64 rank) const { return supervised.total_received_by(rank); }
  i64 loss_rows(i64 rank) const {
    return std::min(loss_chunk_rows(m.vocab), std::max<i64>(projected(rank), 1));
  }
  i64 logits(i64 rank) const { return bytes(loss_rows(rank) * m.vocab); }
  i64 fusion(i64 rank) const {
    const i64 c = m.language.width,
              others = plan.fusion == FusionKind::owner ? owned(rank) : features.total();
    return bytes(others * c) + bytes(consumed(rank) * c);
  }

  i64 saved(i64 rank) const;
  i64 forward(i64 rank) const;
  i64 backward(i64 rank) const;
  i64 head(i64 rank) const;
  i64 connector_saved(i64 rank) const;
  i64 below_features(i64 rank) const;
  i64 vision_backward(i64 rank) const;

  const ModelShape& m;
  const Plan& plan;
  bool images;
  Layout layout;
  std::vector<i64> class_rows;
  Counts features, supervised;  // rows
  TowerMemory vision, language;
};

// ---- forward

i64 PassMemoryModel::Facts::connector_saved(i64 rank) const {
  const ConnectorShape& c = m.connector;
  const i64 rows = owned(rank), input = bytes(rows * c.input);
  i64 sum = bytes(rows * m.language.width) + input;
  if (c.row_norm_statistics > 0) sum += c.row_norm_statistics * bytes(rows * m.merge) + input;
  if (c.joined_norm_statistics > 0) sum += c.joined_norm_statistics * bytes(rows) + input;
  if (c.middle > 0) sum += bytes(rows * c.middle);
  return sum;
}

i64 PassMemoryModel::Facts::saved(i64 rank) const {
  i64 sum = 0;
  if (images) {
    const i64 embedding = bytes(vision_rows(rank) * m.vision.width);
    sum += bytes(patches(rank) * m.patch_inputs) + embedding;
    if (m.vision_pre_norm) sum += embedding + m.vision.norm_statistics * bytes(vision_rows(rank));
    if (m.vision_rope) sum += 2 * bytes(patches(rank) * (m.vision.head_width / 2));
    sum += vision.saved(rank) + connector_saved(rank);
  }
  const i64 rows = layout.language.rows(rank);
  sum += bytes(rows * m.language.width) + 2 * bytes(rows * (m.language.head_width / 2));  // angles
  return sum + language.saved(rank);
}

i64 PassMemoryModel::Facts::forward(i64 rank) const {
  if (!images) return language.forward(rank);
  const i64 width = m.vision.width, rows = owned(rank);
  const i64 positions = m.vision_positions ? bytes(vision_rows(rank) * width) : 0;
  const LinearMemory first(m.connector.first, m.dtype), second(m.connector.second, m.dtype);
  const i64 connector = m.connector.middle > 0 ? bytes(rows * m.connector.middle) +
                                                     std::max(first.forward(rows), second.forward(rows))
                                               : first.forward(rows);
  return std::max({bytes(patches(rank) * width), positions, vision.forward(rank), connector, fusion(rank),
                   language.forward(rank)});
}

// ---- backward

// Beside the logits and the loss of each of their rows, or the rows on their way there and back.
i64 PassMemoryModel::Facts::head(i64 rank) const {
  const i64 rows = bytes(projected(rank) * m.language.width),
            moved = bytes(supervised.total_sent_by(rank) * m.language.width);
  const i64 losses = Arena::bytes_of(DType::F64, loss_rows(rank));
  return 3 * rows + bytes(projected(rank)) + std::max(logits(rank) + losses, moved);
}

i64 PassMemoryModel::Facts::vision_backward(i64 rank) const {
  const i64 d = bytes(vision_rows(rank) * m.vision.width);
  i64 embedding = 0;
  if (m.vision_embedding_trained) {
    embedding =
        (m.vision_pre_norm ? d : 0) + (m.patch_embedding_trained ? bytes(patches(rank) * m.vision.width) : 0);
  }
  return d + std::max(vision.backward(rank), embedding);
}

// Everything behind the gradient of the features.
i64 PassMemoryModel::Facts::below_features(i64 rank) const {
  const ConnectorShape& c = m.connector;
  const i64 rows = owned(rank), input = bytes(rows * c.input);
  const LinearMemory first(c.first, m.dtype), second(c.second, m.dtype);
  const bool needs_input = m.vision.backward_blocks > 0 || m.vision_embedding_trained,
             below_first = needs_input || c.norms_trained;
  const bool norms = c.row_norm_statistics > 0 || c.joined_norm_statistics > 0;
  i64 inner = first.backward_weight(rows);
  if (c.middle > 0) inner = std::max({inner, second.backward_weight(rows), second.backward_input(rows)});
  if (below_first) inner = std::max({inner, first.backward_input(rows), norms ? input : 0});
  const i64 connector = (c.middle > 0 ? 2 * bytes(rows * c.middle) : 0) + inner;
  return std::max(fusion(rank),
                  (below_first ? input : 0) + std::max(connector, needs_input ? vision_backward(rank) : 0));
}

i64 PassMemoryModel::Facts::backward(i64 rank) const {
  const i64 c = m.language.width;
  i64 most = std::max(head(rank), language.backward(rank));
  if (m.token_embedding_trained)
    most = std::max(most, bytes((layout.language.rows(rank) - consumed(rank)) * c));
  if (images && m.features_need_gradient())
    most = std::max(most, bytes(owned(rank) * c) + below_features(rank));
  // All of it holds the gradient of the language rows.
  return bytes(layout.language.rows(rank) * c) + most;
}

// ---- parts

PassMemoryModel::PassMemoryModel(const ModelShape& m, const Plan& plan, const BatchShape& batch, int threads)
    : facts_(std::make_unique<Facts>(m, plan, batch, threads)) {}

PassMemoryModel::~PassMemoryModel() = default;

i64 PassMemoryModel::saved(i64 rank) const {
  return facts_->saved(rank);
}

i64 PassMemoryModel::scratch(i64 rank) const {
  return std::max(facts_->forward(rank), facts_->backward(rank));
}

MemoryByPart PassMemoryModel::of(i64 rank) const {
  const ModelShape& m = facts_->m;
  const i64 bytes = m.element_bytes(), logits = facts_->logits(rank);
  return {.parameters = m.parameters() * bytes,
          .gradients = m.trained() * bytes,
          .optimizer = 2 * m.trained() * bytes,
          .activations = saved(rank),
          .scratch = scratch(rank) - logits,
          .loss_chunk = logits,
          .communication = facts_->plan.mesh.world > 1 ? ProcessGroup::reduction_scratch_bytes : 0};
}

MemoryByPart PassMemoryModel::fullest() const {
  MemoryByPart most;
  for (i64 r = 0; r < facts_->layout.ranks; ++r) {
    const MemoryByPart here = of(r);
    if (here.total() > most.total()) most = here;
  }
  return most;
}

i64 MemoryByPart::total() const {
  return parameters + gradients + optimizer + activations + scratch + loss_chunk + communication;
}

std::vector<std::pair<std::string, i64>> MemoryByPart::parts() const {
  return {{"parameters", parameters},      {"gradients", gradients}, {"optimizer", optimizer},
          {"activations", activations},    {"scratch", scratch},     {"loss_chunk", loss_chunk},
          {"communication", communication}};
}

}  // namespace longsight::parallel
