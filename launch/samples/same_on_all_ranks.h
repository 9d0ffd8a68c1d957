// What the ranks of a job compare before they work together. All are collectives over `world`; one rank has
// nothing to compare and reads nothing.
#pragma once

#include <string>

#include "launch/samples/data_sets.h"
#include "parallel/groups/process_group.h"

namespace longsight::launch {

// The executable and the libraries that compute and communicate: usage.
void require_same_program(parallel::ProcessGroup& world);

// The resolved configuration, key by key: usage.
void require_same_config(const Config&, parallel::ProcessGroup& world);

// The data sets (samples and hash of each), and the files in `folder` that make tokens and pixels of them
// (tokenizer, templates, processor; empty: none), by content, and those beside the adapters that it begins
// with; and texts and pictures of up to 512 samples of each set, evenly spread over it, which every rank
// reads from end to end: bad_data.
void require_same_inputs(const DataSets& sets, const std::string& folder, parallel::ProcessGroup& world);

}  // namespace longsight::launch
