// Reads a checkpoint: is it whole, is it of this model, and its values. Any number of ranks reads what any
// other wrote, to the bit.
#pragma once

#include <functional>
#include <string>

#include "parallel/checkpoint/manifest.h"
#include "parallel/groups/process_group.h"
#include "parallel/optimizer.h"

namespace longsight::parallel {

// bad_checkpoint.
Manifest read_manifest(const std::string& folder);

// Why the file is not what the manifest says: it is not there, was cut, was changed. Empty: it is.
std::string problem_of_file(const std::string& folder, const CheckpointFile&);
// The first problem among files r, r + n, ... of the manifest. Empty: none.
std::string problem_of_files(const std::string& folder, const Manifest&, i64 rank, i64 ranks);

// XXH3-128 of every parameter but those that `trained` says, by name. Collective over `world` where values
// are dealt over it; it may be null otherwise.
std::map<std::string, std::string> hashes_of_frozen(const ParameterRegistry&,
                                                    const std::function<bool(ParameterId)>& trained, Stream,
                                                    ProcessGroup* world = nullptr);
// What the manifest has values of.
std::function<bool(ParameterId)> trained_in(const Manifest&, const ParameterRegistry&);

struct ParameterDifference {
  std::string text;
  bool of_values = false;  // of a parameter that is not trained: the checkpoint fits all the same
};
// How the parameters of a checkpoint differ from those trained here: missing, new, of another shape, or not
// trained and of other values. `frozen`: the hashes of those that are not trained here.
std::vector<ParameterDifference> differences_of_parameters(const Manifest&, const ParameterRegistry&,
                                                           const std::map<std::string, std::string>& frozen);

// Values of the trained parameters; moments and steps too, where there is an optimizer. Of what is dealt over
// ranks, this rank's shares. In mixed precision the weights follow: collective over `world` where every rank
// holds them, but its share of the values alone; it may be null otherwise. The parameters must fit; the files
// must have been verified.
void restore(const std::string& folder, const Manifest&, const ParameterRegistry&, AdamW* optimizer, Stream,
             ProcessGroup* world = nullptr);

}  // namespace longsight::parallel
