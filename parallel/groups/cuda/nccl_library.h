// NCCL, opened when it is first needed: a program starts where it is not installed.
#pragma once

#include <nccl.h>

#include "runtime/base/shared_library.h"

namespace longsight::parallel {

struct NcclLibrary {
  SharedLibrary library{"libnccl.so.2", "several ranks with a GPU each"};
  decltype(&ncclGetVersion) get_version = library["ncclGetVersion"];
  decltype(&ncclGetErrorString) error_string = library["ncclGetErrorString"];
  decltype(&ncclGetLastError) last_error = library["ncclGetLastError"];
  decltype(&ncclGetUniqueId) get_unique_id = library["ncclGetUniqueId"];
  decltype(&ncclCommInitRank) comm_init_rank = library["ncclCommInitRank"];
  decltype(&ncclCommSplit) comm_split = library["ncclCommSplit"];
  decltype(&ncclCommDestroy) comm_destroy = library["ncclCommDestroy"];
  decltype(&ncclCommAbort) comm_abort = library["ncclCommAbort"];
  decltype(&ncclCommGetAsyncError) comm_get_async_error = library["ncclCommGetAsyncError"];
  decltype(&ncclGroupStart) group_start = library["ncclGroupStart"];
  decltype(&ncclGroupEnd) group_end = library["ncclGroupEnd"];
  decltype(&ncclSend) send = library["ncclSend"];
  decltype(&ncclRecv) recv = library["ncclRecv"];
  decltype(&ncclBroadcast) broadcast = library["ncclBroadcast"];
  decltype(&ncclAllGather) all_gather = library["ncclAllGather"];
};

// Throws missing_input where there is none, or one of another major version.
const NcclLibrary& nccl();

}  // namespace longsight::parallel
