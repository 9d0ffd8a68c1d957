// Functions that kernels of a GPU share with the host: scalar formulas, bf16. For the host's compiler the
// mark is nothing.
#pragma once

#if defined(__CUDACC__)
#define LONGSIGHT_HD __host__ __device__
#else
#define LONGSIGHT_HD
#endif
