// Data files that gzip packed are unpacked once on each node, however many of its ranks read them.
#pragma once

#include "parallel/groups/process_group.h"
#include "runtime/base/gzip.h"

namespace longsight::launch {

// To open a file is a collective over `node`, in which all ranks give the same path. Where gzip packed it,
// the first of them unpacks it, with progress in its log, and the others open what it has unpacked, which has
// no name and is gone with the last of them, however they end. Where they may not (another user, another view
// of processes), or where the path leads them to another file, each unpacks for itself. Errors as of
// open_unpacked.
OpenFile open_on_node(parallel::ProcessGroup& node, Stream);
// The same for a process that reads its data alone.
OpenFile open_alone();

}  // namespace longsight::launch
