// A program built with CUDA, where there may be no driver: it starts, and an op on a GPU either runs or says
// what is missing. Prints which; fails where it is neither.
#include <cstdio>
#include <string>

#include "runtime/base/error.h"
#include "runtime/ops/rows.h"

int main() {
  using namespace longsight;
  try {
    ops::zero_matrix(Matrix(nullptr, DType::F32, 1, 16, 16, Backend::cuda), {.backend = Backend::cuda});
    std::puts("an op was queued on a GPU");
    return 0;
  } catch (const Error& error) {
    std::puts(error.what());
    return std::string(error.what()).find("driver") != std::string::npos ||
                   std::string(error.what()).find("no CUDA-capable device") != std::string::npos
               ? 0
               : 1;
  }
}
