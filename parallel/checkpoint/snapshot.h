// The share of the training state that one rank writes into a checkpoint: of every bucket of trained
// parameters the interval that it holds where they are dealt over the ranks (runtime/tensor/sharding.h), and
// the same where every rank holds all. So n ranks write n files of about the same size, whatever the layout
// of the run, and nothing has to be gathered.
#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/manifest.h"
#include "parallel/optimizer.h"

namespace longsight::parallel {

// In the file of a rank: the slice's values, first and second moments.
std::string value_name(const std::string& parameter);
std::string first_name(const std::string& parameter);
std::string second_name(const std::string& parameter);

// Every trained parameter with its slices, file r being that of rank r. The same on every rank and in every
// sharding.
std::vector<CheckpointTensor> deal_tensors(const ParameterRegistry&, const AdamW&, i64 ranks);

std::string share_name(i64 rank, i64 ranks);           // of the file
i64 share_bytes(const ParameterRegistry&, i64 ranks);  // of the largest, about

// A copy in host memory, so that training can go on while it is written.
class Snapshot {
 public:
  // Waits for what is queued on the stream. Of parameters that are dealt, the rank's own share.
  Snapshot(const ParameterRegistry&, const AdamW&, i64 rank, i64 ranks, Stream);

  // Of the largest share: values and both moments.
  static i64 bytes(const ParameterRegistry&, i64 ranks);
  i64 bytes() const { return values_->bytes() + first_->bytes() + second_->bytes(); }

  // Writes the file into the folder, syncs it, and reads it again: what is returned is on the disk.
  // cannot_write. Any thread.
  CheckpointFile write(const std::string& folder) const;

 private:
  struct Piece {
    std::string name;  // of the parameter
    i64 at = 0, elements = 0;
  };
  std::string file_;
  DType dtype_;
  std::vector<Piece> pieces_;
  OwnedTensor values_, first_, second_;
};

}  // namespace longsight::parallel
