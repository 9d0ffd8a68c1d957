// Values that cross between the host and the memory of a stream's backend: numbers that stay tensors while a
// step runs and are read once it has ended, and what files hold.
#pragma once

#include <span>
#include <vector>

#include "runtime/tensor/tensor.h"

namespace longsight {

// The elements of x, whose dtype T is, when all that was queued on the stream before has been done. Throws on
// the stream of a trace: a program that needs a number of its own on the way cannot be queued.
template <class T>
std::vector<T> read_values(Tensor x, Stream);
double read_scalar(Tensor x, Stream);  // of one element, f64

// The elements in memory of the host. Waits likewise.
OwnedTensor host_copy(Tensor x, Stream);

// x, whose dtype T is, gets as many values as it has elements.
template <class T>
void write_values(Tensor x, std::span<const T> values, Stream);
void write_scalar(Tensor x, double value, Stream);  // x [1], f64

}  // namespace longsight
