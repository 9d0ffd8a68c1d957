// The vision-language model and one pass of it over a micro-batch: forward, loss, backward, on the ranks of a
// sequence group.
#pragma once

#include <map>
#include <memory>

#include "model/adapters.h"
#include "model/connector.h"
#include "model/language_model.h"
#include "model/micro_batch.h"
#include "model/vision_tower.h"
#include "parallel/fusion_exchange.h"
#include "parallel/layout.h"
#include "parallel/schedule.h"

namespace longsight::model {

// A model: its shape and its parameters. Registered by the constructor, not yet allocated.
class Vlm {
 public:
  explicit Vlm(ModelConfig config, const AdapterConfig& adapters = {});
  Vlm(const Vlm&) = delete;
  Vlm& operator=(const Vlm&) = delete;

  const ModelConfig& config() const { return config_; }
  const AdapterConfig& adapters() const { return adapters_; }
  ParameterRegistry& parameters() { return parameters_; }
  const ParameterRegistry& parameters() const { return parameters_; }
  const ModelIds& ids() const { return ids_; }
  const VisionTower& vision() const { return vision_; }
  const Connector& connector() const { return connector_; }
  const LanguageModel& language() const { return language_; }

  // The name of a parameter in the file it was loaded from; its canonical name if it came from nowhere.
  const std::string& name_in_file(ParameterId id) const;
  void set_name_in_file(ParameterId id, std::string name) { file_names_[id] = std::move(name); }

  // Attention of the two towers, as the strategies and the planner see it.
  parallel::AttentionShape vision_attention() const;
  // `windowed`: of the blocks with a sliding window.
  parallel::AttentionShape language_attention(bool windowed) const;

 private:
  ModelConfig config_;
  AdapterConfig adapters_;
  ParameterRegistry parameters_;
  ModelIds ids_;
  std::map<ParameterId, std::string> file_names_;
  VisionTower vision_;
  Connector connector_;
  LanguageModel language_;
};

// Memory of a rank's passes, kept between them.
struct PassMemory {
  Arena saved{"activations"};
  Arena scratch{"scratch"};
  Frames frames;
};

// One micro-batch on one layout. Every rank of `group` makes the same pass and calls the same functions, in
// the order forward, then at most one of the losses.
class Pass {
 public:
  // Collective: the ranks compare their schedules, and a mismatch throws on all of them before anything runs.
  Pass(Vlm&, const MicroBatch&, const parallel::Plan&, bool with_gradient, parallel::ProcessGroup& group,
       PassMemory&, Stream);
  ~Pass();  // frees what the pass took

  // Collective.
  void forward();
  // Sums over this rank's share of the supervised tokens. Collective.
  double loss();
  // Gradients are added, scaled by `scale` (1 / supervised tokens of the step). Collective.
  double loss_and_backward(double scale);

  const parallel::Layout& layout() const { return layout_; }
  const parallel::Schedule& schedule() const { return schedule_; }
  Tensor hidden() const { return hidden_; }      // [T, C] before the final norm: this rank's language rows
  Tensor features() const { return features_; }  // connector output of this rank's vision rows, [owned, C]
  const std::vector<i64>& owned_features() const { return parts_.fusion->owned(); }
  void logits(Tensor out) const;  // [T, V] of this rank's rows

 private:
  // Strategies and exchanges over the checked group.
  struct Parts {
    std::vector<std::unique_ptr<parallel::AttentionStrategy>> owned;
    BlockAttention vision, language;
    std::unique_ptr<parallel::FusionExchange> fusion;
    std::unique_ptr<parallel::LossBalance> loss;
  };
  Parts make_parts();
  parallel::Schedule make_schedule() const;
  void backward(Tensor d_hidden);

  bool has_images() const { return batch_.geometry.images.count() > 0; }
  bool vision_needs_gradient() const;     // of the tower
  bool features_need_gradient() const;    // of the tower or the connector
  bool embeddings_need_gradient() const;  // of the language model's input

  Vlm& model_;
  const MicroBatch& batch_;
  const parallel::Plan& plan_;
  bool with_gradient_;
  parallel::ProcessGroup& group_;
  PassMemory& memory_;
  Workspace workspace_;
  Arena::Mark saved_begin_;
  std::size_t frames_begin_;

  parallel::Layout layout_;
  parallel::Schedule schedule_;
  parallel::ScheduleCursor cursor_;
  parallel::ScheduledGroup checked_group_;
  Parts parts_;

  std::vector<i64> ids_, text_rows_,
      source_rows_;  // of this rank: token ids; rows that are text; features' vision rows
  VisionRows vision_rows_;
  RopeTable rope_;
  Tensor features_, hidden_;
};

}  // namespace longsight::model
