// One pass of a model over a micro-batch on the ranks of a sequence group: forward, loss, backward.
#pragma once

#include <memory>
#include <optional>

#include "model/inputs/pass_inputs.h"
#include "model/vlm.h"
#include "parallel/groups/schedule.h"
#include "runtime/device/trace.h"

namespace longsight::model {

// Memory of a rank's passes, kept between them.
struct PassMemory {
  explicit PassMemory(MemoryPlace place = {}) : saved("activations", place), scratch("scratch", place) {}

  Arena saved, scratch;
  Frames frames;

  // For the traces of passes that run here.
  PassMemory& traced();

 private:
  std::unique_ptr<PassMemory> traced_;
};

// The ranks that parameters are dealt over, of which the group of a pass is a part. Nothing where every rank
// holds them.
struct DealtOver {
  parallel::ProcessGroup* world = nullptr;
  Tensor own_squares = {};  // see parallel/workspace.h
};

// The program of a pass, on any backend. Every rank of `group` makes it with its own inputs, and calls the
// same functions, in the order forward, then at most one of the losses. All but the constructor are
// collective, over the group, and over the world that parameters are dealt over.
class PassProgram {
 public:
  PassProgram(Vlm&, const PassInputs&, bool with_gradient, PassMemory&, parallel::ProcessGroup& group, Stream,
              const DealtOver& = {});
  ~PassProgram();  // frees what the pass took
  PassProgram(const PassProgram&) = delete;
  PassProgram& operator=(const PassProgram&) = delete;

  void forward();
  // [1], f64: sum over this rank's share of the supervised tokens. Holds until the pass ends.
  Tensor loss();
  // Gradients are added, scaled by `scale` (1 / supervised tokens of the step).
  Tensor loss_and_backward(double scale);

  Tensor hidden() const { return hidden_; }      // [T, C] before the final norm: this rank's language rows
  Tensor features() const { return features_; }  // connector output of this rank's vision rows, [owned, C]
  void logits(Tensor out) const;                 // [T, V] of this rank's rows

 private:
  void backward(Tensor d_hidden);
  void forward_vision();
  void stand_by_backward();
  bool vision_is_trained() const;     // the tower
  bool features_are_trained() const;  // the tower or the connector
  // Of the language model's input, in a pass with images or without.
  bool embeddings_need_gradient(bool images) const;

  Vlm& model_;
  const PassInputs& inputs_;
  bool with_gradient_;
  PassMemory& memory_;
  Workspace workspace_;
  Arena::Mark saved_begin_;
  std::size_t frames_begin_;

  VisionRows vision_rows_;
  RopeTable rope_;
  Tensor loss_, features_, hidden_;
};

// What a pass would do on this rank, told by the program itself: it runs on a stream that only records.
struct PassTrace {
  Trace work;                                // op by op
  parallel::Schedule schedule;               // the group's collectives, in order,
  std::vector<ProgramPlace> places;          // and what part of the program each belongs to
  i64 saved = 0;                             // most bytes taken from the arena of activations
  i64 scratch = 0;                           // and from that of scratch,
  std::map<std::string, i64> scratch_table;  // by label, when it took most
};

// Not collective. The sequence group is called `group` and has the ranks of the inputs' plan. `takes_tiles`
// as Trace's. What parameters that are dealt move is listed as of a group "world".
PassTrace trace_pass(Vlm&, const PassInputs&, bool with_gradient, PassMemory& traced, std::string group,
                     bool takes_tiles = true);

// A pass that runs: the ranks first compare what they would issue, then execute against it.
class Pass {
 public:
  // Collective: a mismatch throws on all ranks before anything runs.
  Pass(Vlm&, const PassInputs&, bool with_gradient, parallel::ProcessGroup& group, PassMemory&, Stream,
       const DealtOver& = {});

  void forward() { program_->forward(); }
  Tensor loss();
  Tensor loss_and_backward(double scale);

  const PassTrace& trace() const { return trace_; }
  Tensor hidden() const { return program_->hidden(); }
  Tensor features() const { return program_->features(); }
  void logits(Tensor out) const { program_->logits(out); }

 private:
  PassTrace trace_;
  parallel::ScheduleCursor cursor_;
  parallel::ScheduledGroup checked_group_;
  std::optional<parallel::ScheduledGroup> checked_world_;
  std::unique_ptr<PassProgram> program_;
};

}  // namespace longsight::model
