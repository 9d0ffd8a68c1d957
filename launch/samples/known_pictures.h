// Which pictures of a data set have been decoded to their end, kept in the folder of indices (data.index), so
// that the next run need not do it again.
#pragma once

#include <string>
#include <vector>

#include "launch/samples/data_sets.h"

namespace longsight::launch {

// Of what the pictures of a sample are now: names, sizes and times of change of their files, or their bytes
// where they stand in the data. Never 0; missing_input for a file that is not there.
u64 picture_state(const data::ChatSample&);

class KnownPictures {
 public:
  // Empty without a folder, or where it holds nothing of this set.
  KnownPictures(const DataSet&, std::string index_folder);

  bool has(i64 index, u64 state) const;
  // Adds `states` (of each sample of the set; 0: without pictures that were decoded) and writes, where that
  // adds something. A folder that cannot be written is a warning.
  void remember(const std::vector<u64>& states);

 private:
  std::string file_, folder_;  // of the set; empty: nothing is kept
  std::vector<i64> states_;
};

}  // namespace longsight::launch
