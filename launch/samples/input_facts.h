// What a run computes with, as names and values that can be compared: between the ranks of a job, and between
// a checkpoint and the run that goes on from it.
#pragma once

#include <string>
#include <vector>

#include "launch/samples/data_sets.h"
#include "parallel/groups/agreement.h"

namespace longsight::launch {

using parallel::Fact;

// "N bytes with hash H", of the file, or `bytes` of it from `offset` on (-1: to its end).
std::string content_of(const std::string& path, i64 offset = 0, i64 bytes = -1);

// Every scalar of a configuration by its dotted key; what is empty is not there.
std::vector<Fact> config_facts(const Config&);

// The files of a model or adapter folder that make tokens and pixels; none for an empty path.
std::vector<Fact> folder_facts(const std::string& folder);

// Samples and hash of the records, under `name`; of ready batches each file.
std::vector<Fact> set_facts(const DataSet&, const std::string& name);

}  // namespace longsight::launch
