#include "runtime/ops/rope.h"

#include "runtime/ops/execute.h"
#include "runtime/ops/host/rope.h"

namespace longsight::ops {
void rope(Heads x, Tensor cos, Tensor sin, Turn turn, Stream stream) {
  const i64 half = x.width / 2, rows = x.rows();
  check(x.width % 2 == 0, "rope: heads of odd width {}", x.width);
  for (const Tensor* angles : {&cos, &sin}) {
    check(angles->shape().rank() == 2 && angles->rows() == rows && angles->row_size() == half &&
              angles->dtype() == x.matrix.dtype,
          "rope: angles {} {} for {} rows of {} heads of width {} in {}", name_of(angles->dtype()),
          angles->shape().text(), rows, x.heads, x.width, name_of(x.matrix.dtype));
  }
  execute(stream, {"rope", 0, bytes_of({x.matrix, x.matrix, cos, sin})},
          [&] { host::rope(x, cos, sin, turn); });
}

}  // namespace longsight::ops
