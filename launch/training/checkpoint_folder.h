// RUN/checkpoints: step-00000020/, step-00000040/, ..., and `latest`, which names the newest for people.
// Names with a dot are not checkpoints: those that are being written (.tmp-), removed (.removed), or were set
// aside.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::launch {

struct CheckpointPlace {
  i64 step = 0;
  std::string path;
};

std::string checkpoint_name(i64 step);
bool is_checkpoint(const std::string& path);  // a folder that looks like one
// Newest first; nothing of them is read.
std::vector<CheckpointPlace> checkpoints_in(const std::string& folder);

// What runs have left that died while they wrote or removed. Only with the lock of the run.
void remove_unfinished_checkpoints(const std::string& folder);
// All but the newest `keep`, and those of every `keep_every` steps (0: none). `not_counted`: steps of those
// that were refused; they stay.
void remove_old_checkpoints(const std::string& folder, i64 keep, i64 keep_every,
                            const std::set<i64>& not_counted);
// The run goes back to `step`: what came behind it is renamed to step-N.aside-K.
void set_aside_checkpoints_behind(const std::string& folder, i64 step);
void point_to_latest_checkpoint(const std::string& folder, i64 step);

}  // namespace longsight::launch
