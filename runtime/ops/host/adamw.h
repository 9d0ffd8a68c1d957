// Host executor of runtime/ops/adamw.h, whose contracts hold and are checked there.
#pragma once

#include "runtime/ops/adamw.h"

namespace longsight::ops::host {

void adamw_step(Tensor value, Tensor gradient, Tensor first_moment, Tensor second_moment,
                const AdamWOptions&);
double sum_of_squares(Tensor x);

}  // namespace longsight::ops::host
