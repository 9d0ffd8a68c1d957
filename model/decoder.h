// Greedy decoding on one rank, with the keys and values of all earlier positions kept: a new token costs one
// row through the blocks. Parameters and ops are those of training, so the logits equal those of a Pass over
// the same ids to rounding.
#pragma once

#include <memory>
#include <vector>

#include "model/pass.h"
#include "parallel/groups/self_group.h"

namespace longsight::model {

class Decoder {
 public:
  // The model's parameters are allocated in memory of the host, and the stream is the host's; it outlives the
  // decoder.
  Decoder(Vlm&, Stream);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // Forgets what was before, runs the prompt (its labels are not looked at) and makes room for `more` tokens
  // behind it. Returns the logits [1, V] behind its last token; they hold until the next call. bad_data as
  // check_sample.
  Tensor start(const Sample& prompt, i64 more);
  // The logits [1, V] behind `id`, which takes position length().
  Tensor step(i64 id);

  // The likeliest token by these logits, of equal ones the first, as [1] (i64); -1 where they are not finite.
  Tensor likeliest(Tensor logits);

  i64 length() const { return length_; }  // positions so far
  Stream stream() const { return workspace_.stream; }
  const Vlm& model() const { return model_; }

 private:
  void reserve(i64 positions);
  void place_images(Tensor x, const Sample& prompt);
  Tensor features(const std::shared_ptr<data::ImageSource>& image);
  Tensor run(Tensor x, std::span<const Position> positions);
  void attend(Tensor y, Tensor x, i64 block, const RopeTable&);
  Tensor cached(i64 block, i64 first, i64 rows) const;

  Vlm& model_;
  PassMemory memory_;
  Workspace workspace_;

  parallel::SelfGroup self_;

  OwnedTensor cache_;  // [blocks, capacity, 2 Hkv D]: K, then V of each position
  OwnedTensor logits_, choice_;
  i64 capacity_ = 0;
  i64 length_ = 0;
  i64 next_position_ = 0;
  i64 prefix_ = 0;
};

struct GreedyOptions {
  i64 max_tokens = 128;
  std::vector<i64> stop = {};  // ids that end the answer
};

struct Generated {
  std::vector<i64> ids;  // without the id that ended it
  bool ended = false;    // by one of options.stop; else by max_tokens
};

// The likeliest token each time, of equal ones the first. non_finite, naming the prompt, for logits that are
// not finite.
Generated generate(Decoder&, const Sample& prompt, const GreedyOptions&);

}  // namespace longsight::model
