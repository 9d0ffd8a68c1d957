#include "runtime/ops/patches.h"

#include "runtime/ops/cuda/patches.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/patches.h"

namespace longsight::ops {
namespace {

void check_index(const char* op, Matrix rows, const IndexList& index, i64 patches) {
  check(rows.rows == index.size(), "{}: {} indices for {} rows", op, index.size(), rows.rows);
  check(index.size() == 0 || index.limit() <= patches, "{}: indices into {} patches, but there are {}", op,
        index.limit(), patches);
}

// Of f32 that is read and `rows` that are written.
double moved_bytes(Matrix rows) {
  Matrix read = rows;
  read.dtype = DType::F32;
  return bytes_of({read, rows});
}

}  // namespace

void patch_rows(Matrix rows, Tensor pixels, i64 patch, const IndexList& index, Stream stream) {
  check(pixels.shape().rank() == 3 && pixels.extent(0) == 3, "patch_rows: pixels {}, not [3, H, W]",
        pixels.shape());
  check(patch > 0 && rows.cols == 3 * patch * patch, "patch_rows: rows of {} for patches of {}", rows.cols,
        patch);
  const i64 height = pixels.extent(1), width = pixels.extent(2);
  check_index("patch_rows", rows, index, height / patch * (width / patch));
  execute(
      stream, {"patch_rows", 0, moved_bytes(rows)},
      [=] { host::patch_rows(rows, pixels, patch, index.on(stream)); },
      [&] { cuda::patch_rows(rows, pixels, patch, index, stream); });
}

void ready_patch_rows(Matrix rows, Tensor patches, const IndexList& index, Stream stream) {
  check(patches.shape().rank() == 2 && patches.extent(1) == rows.cols,
        "ready_patch_rows: patches {} for rows of {}", patches.shape(), rows.cols);
  check_index("ready_patch_rows", rows, index, patches.extent(0));
  execute(
      stream, {"ready_patch_rows", 0, moved_bytes(rows)},
      [=] { host::ready_patch_rows(rows, patches, index.on(stream)); },
      [&] { cuda::ready_patch_rows(rows, patches, index, stream); });
}

}  // namespace longsight::ops
