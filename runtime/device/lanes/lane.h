// What the body of a kernel is written against. A body is a value with a member
//   template <class Lane> LANE_FN void operator()(Lane& lane) const;
// that each thread of each block runs. A Lane has
//   int thread(), threads();  i64 block(), blocks();   which thread of how many in its block, which block
//   void sync(), sync_warp();                          barriers of the block and of a warp of 32 threads
//   T shuffle_xor(T value, int mask);                  the value of the thread of the warp whose number
//   differs
//                                                      in the bits of the mask; all 32 take part
//   T* shared<T>(bytes);                               the block's memory, from so many bytes on
// nvcc compiles bodies for CudaLane; tests run the same source on fibers (emulated/emulator.h).
#pragma once

#include <cstddef>
#include <cstring>

#include "runtime/base/host_device.h"
#include "runtime/base/number.h"

#if defined(__CUDACC__)
#define LANE_FN __device__ __forceinline__
#define LANE_UNROLL _Pragma("unroll")
#else
#define LANE_FN inline
#define LANE_UNROLL
#endif

namespace longsight::lanes {

inline constexpr int kWarp = 32;

// N neighbours that are moved in one access, of 16 bytes where they have as many.
template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  LANE_FN T& operator[](int i) { return at[i]; }
  LANE_FN const T& operator[](int i) const { return at[i]; }
  T at[N];
};

template <int N, class T>
LANE_FN Pack<T, N> load(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <int N, class T>
LANE_FN void store(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

#if defined(__CUDACC__)
struct CudaLane {
  LANE_FN int thread() const { return static_cast<int>(threadIdx.x); }
  LANE_FN int threads() const { return static_cast<int>(blockDim.x); }
  LANE_FN i64 block() const { return static_cast<i64>(blockIdx.x); }
  LANE_FN i64 blocks() const { return static_cast<i64>(gridDim.x); }
  LANE_FN void sync() const { __syncthreads(); }
  LANE_FN void sync_warp() const { __syncwarp(); }
  template <class T>
  LANE_FN T shuffle_xor(const T& value, int mask) const {
    static_assert(sizeof(T) % 4 == 0 && sizeof(T) <= 16);
    unsigned words[sizeof(T) / 4];
    std::memcpy(words, &value, sizeof(T));
    LANE_UNROLL
    for (unsigned& word : words) word = __shfl_xor_sync(0xffffffffU, word, mask);
    T result;
    std::memcpy(&result, words, sizeof(T));
    return result;
  }
  template <class T>
  LANE_FN T* shared(std::size_t bytes = 0) const {
    extern __shared__ __align__(16) unsigned char block_memory[];
    return reinterpret_cast<T*>(block_memory + bytes);
  }
};
#endif

}  // namespace longsight::lanes
