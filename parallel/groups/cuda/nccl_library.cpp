#include "parallel/groups/cuda/nccl_library.h"

#include "runtime/base/error.h"
#include "runtime/base/shared_library.h"

namespace longsight::parallel {
namespace {

NcclLibrary open_library() {
  const SharedLibrary library("libnccl.so.2", "several ranks with a GPU each");
  NcclLibrary found{};
  const auto find = [&]<class F>(F& function, const char* name) { function = library.function<F>(name); };
  find(found.get_version, "ncclGetVersion");
  find(found.error_string, "ncclGetErrorString");
  find(found.last_error, "ncclGetLastError");
  find(found.get_unique_id, "ncclGetUniqueId");
  find(found.comm_init_rank, "ncclCommInitRank");
  find(found.comm_split, "ncclCommSplit");
  find(found.comm_destroy, "ncclCommDestroy");
  find(found.comm_abort, "ncclCommAbort");
  find(found.comm_get_async_error, "ncclCommGetAsyncError");
  find(found.group_start, "ncclGroupStart");
  find(found.group_end, "ncclGroupEnd");
  find(found.send, "ncclSend");
  find(found.recv, "ncclRecv");
  find(found.broadcast, "ncclBroadcast");
  find(found.all_gather, "ncclAllGather");
  int version = 0;
  const ncclResult_t status = found.get_version(&version);
  require(status == ncclSuccess && version / 10000 == NCCL_MAJOR, ExitCode::missing_input,
          "NCCL {} was loaded, this program was built for {}", version, NCCL_VERSION_CODE);
  return found;
}

}  // namespace

const NcclLibrary& nccl() {
  static const NcclLibrary library = open_library();
  return library;
}

}  // namespace longsight::parallel
