#include "parallel/groups/cuda/nccl_library.h"

#include <dlfcn.h>

#include "runtime/base/error.h"

namespace longsight::parallel {
namespace {

template <class F>
void find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  require(function != nullptr, ExitCode::missing_input, "libnccl.so.2 has no {}: a newer NCCL is needed",
          name);
}

NcclLibrary open_library() {
  void* const library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
  require(library != nullptr, ExitCode::missing_input,
          "several ranks with a GPU each need NCCL: {} (install it, or name its folder in LD_LIBRARY_PATH)",
          dlerror());
  NcclLibrary found{};
  find(library, "ncclGetVersion", found.get_version);
  find(library, "ncclGetErrorString", found.error_string);
  find(library, "ncclGetLastError", found.last_error);
  find(library, "ncclGetUniqueId", found.get_unique_id);
  find(library, "ncclCommInitRank", found.comm_init_rank);
  find(library, "ncclCommSplit", found.comm_split);
  find(library, "ncclCommDestroy", found.comm_destroy);
  find(library, "ncclCommAbort", found.comm_abort);
  find(library, "ncclCommGetAsyncError", found.comm_get_async_error);
  find(library, "ncclGroupStart", found.group_start);
  find(library, "ncclGroupEnd", found.group_end);
  find(library, "ncclSend", found.send);
  find(library, "ncclRecv", found.recv);
  find(library, "ncclBroadcast", found.broadcast);
  find(library, "ncclAllGather", found.all_gather);
  int version = 0;
  found.get_version(&version);
  require(version / 10000 == NCCL_MAJOR, ExitCode::missing_input,
          "NCCL {} was loaded, this program was built for {}", version, NCCL_VERSION_CODE);
  return found;
}

}  // namespace

const NcclLibrary& nccl() {
  static const NcclLibrary library = open_library();
  return library;
}

}  // namespace longsight::parallel
