#include "runtime/device/lanes/stream_memory.h"

#include "runtime/device/cuda/cuda_status.h"

namespace longsight::lanes {

StreamMemory::StreamMemory(i64 bytes, Stream stream) : bytes_(bytes), stream_(stream) {
  if (bytes == 0) return;
  cuda_check(
      cudaMallocAsync(&data_, static_cast<std::size_t>(bytes), static_cast<cudaStream_t>(stream.handle)),
      "cudaMallocAsync");
}

StreamMemory::~StreamMemory() {
  // Fails only after an error that an earlier call has reported or a later one will.
  if (data_ != nullptr) static_cast<void>(cudaFreeAsync(data_, static_cast<cudaStream_t>(stream_.handle)));
}

void StreamMemory::fill_from_host(const void* from, i64 bytes) {
  check(bytes <= bytes_, "{} bytes into a scratch of {}", bytes, bytes_);
  if (bytes == 0) return;
  // Of pageable memory: it is copied out before the call returns.
  cuda_check(cudaMemcpyAsync(data_, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice,
                             static_cast<cudaStream_t>(stream_.handle)),
             "cudaMemcpyAsync");
}

void copy_to_host(void* to, const void* from, i64 bytes, Stream stream) {
  if (bytes == 0) return;
  const auto queue = static_cast<cudaStream_t>(stream.handle);
  cuda_check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, queue),
             "cudaMemcpyAsync");
  cuda_check(cudaStreamSynchronize(queue), "cudaStreamSynchronize");
}

}  // namespace longsight::lanes
