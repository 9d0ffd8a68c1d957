#include "runtime/ops/rope.h"

#include "runtime/ops/cuda/rope.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/rope.h"

namespace longsight::ops {

void rope(Heads x, Tensor cos, Tensor sin, Turn turn, Stream stream) {
  const i64 half = x.width / 2, rows = x.rows();
  check(x.width % 2 == 0, "rope: heads of odd width {}", x.width);
  for (const Tensor* angles : {&cos, &sin}) {
    check(angles->shape().rank() == 2 && angles->rows() == rows && angles->row_size() == half &&
              angles->dtype() == statistics_of(x.matrix.dtype),
          "rope: angles {} {} for {} rows of {} heads of width {} in {}", name_of(angles->dtype()),
          angles->shape(), rows, x.heads, x.width, name_of(x.matrix.dtype));
  }
  execute(
      stream, {"rope", 0, bytes_of({x.matrix, x.matrix, cos, sin})}, [=] { host::rope(x, cos, sin, turn); },
      [&] { cuda::rope(x, cos, sin, turn, stream); });
}

void rope_angles(Tensor cos, Tensor sin, const RopeAngles& angles, Stream stream) {
  for (const Tensor* table : {&cos, &sin}) {
    check(table->shape() == Shape({angles.rows, angles.half}) && table->dtype() == cos.dtype(),
          "rope_angles: a table of {} {} for {} rows of {} angles", name_of(table->dtype()), table->shape(),
          angles.rows, angles.half);
  }
  if (stream.backend != Backend::trace) {
    const auto rows = static_cast<std::size_t>(angles.rows), half = static_cast<std::size_t>(angles.half);
    check(angles.positions.size() == rows * static_cast<std::size_t>(angles.axes) &&
              angles.axis.size() == half && (angles.set.empty() || angles.set.size() == rows) &&
              (angles.inverse.size() >= half),
          "rope_angles: {} positions, {} axes, {} frequencies for {} rows of {} angles",
          angles.positions.size(), angles.axis.size(), angles.inverse.size(), rows, half);
  }
  execute(
      stream, {"rope_angles", 0, bytes_of({cos, sin})}, [=] { host::rope_angles(cos, sin, angles, stream); },
      [&] { cuda::rope_angles(cos, sin, angles, stream); });
}

}  // namespace longsight::ops
