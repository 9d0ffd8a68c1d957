// What a checkpoint says of itself: manifest.json. A folder is a valid checkpoint if its manifest has the
// hash that it begins with, and the files that it lists have the sizes and hashes that it says.
//
//   {"hash": "<XXH3-128 of all that follows this line>",
//   "manifest": {"format": "longsight checkpoint", "schema": 1, "step": ..., ...}}
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "parallel/groups/agreement.h"
#include "runtime/tensor/dtype.h"
#include "runtime/tensor/shape.h"

namespace longsight::parallel {

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr i64 kManifestSchema = 1;

struct CheckpointFile {
  std::string name;  // in the folder
  i64 bytes = 0;
  std::string hash;  // XXH3-128
};

// Elements [begin, end) of a tensor seen as one row: a tensor of that length in a file.
struct CheckpointSlice {
  i64 file = 0;  // among those of the manifest
  i64 begin = 0, end = 0;
};

// A trained parameter: its values and both moments, cut alike.
struct CheckpointTensor {
  std::string name;
  DType dtype = DType::F32;
  Shape shape;                          // of the whole
  i64 steps = 0;                        // that updated it
  std::vector<CheckpointSlice> slices;  // in order, end to end
};

// A file of lines as it was when the checkpoint was taken: a run that goes on cuts it back to there.
struct LogMark {
  i64 bytes = 0;
  std::string hash;  // XXH3-128 of these bytes
  friend bool operator==(const LogMark&, const LogMark&) = default;
};

struct Manifest {
  i64 step = 0;  // done
  i64 samples_seen = 0, tokens_seen = 0;
  i64 samples_drawn = 0;                  // where the data order stands; the rest of the cursor is arithmetic
  i64 skipped = 0, skipped_in_a_row = 0;  // steps without an update: of all, and the last ones
  std::optional<double> best_loss = {};   // on the set of output.keep_best
  std::string written = {};               // when
  i64 ranks = 1, data_groups = 1, sequence_ranks = 1;  // that wrote it; any others may read it
  std::map<std::string, LogMark> logs = {};
  // What a run that goes on must have in common with the one that stopped: configuration, data, model.
  std::vector<Fact> facts = {};
  std::map<std::string, std::string> frozen =
      {};  // parameters that are not trained: XXH3-128 of their values
  std::vector<CheckpointFile> files = {};
  std::vector<CheckpointTensor> tensors = {};

  i64 bytes() const;  // of the files
};

std::string manifest_text(const Manifest&);
// bad_checkpoint, naming `path`, for anything that manifest_text did not write: every bit counts.
Manifest parse_manifest(const std::string& text, const std::string& path);

}  // namespace longsight::parallel
