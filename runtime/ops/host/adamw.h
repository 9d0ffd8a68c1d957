// Host executor of runtime/ops/adamw.h, whose contracts hold and are checked there.
#pragma once

#include "runtime/ops/adamw.h"

namespace longsight::ops::host {

void adamw_step(Tensor value, Tensor gradient, Tensor first_moment, Tensor second_moment, Tensor scale,
                const AdamWOptions&, Tensor copy);
void sum_of_squares(Tensor sum, Tensor x);
void clip_scale(Tensor scale, Tensor squares, Tensor loss, double clip);

}  // namespace longsight::ops::host
