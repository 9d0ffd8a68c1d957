#include "parallel/groups/cuda/nccl_library.h"

#include "runtime/base/error.h"

namespace longsight::parallel {
namespace {

NcclLibrary open_library() {
  NcclLibrary found;
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
