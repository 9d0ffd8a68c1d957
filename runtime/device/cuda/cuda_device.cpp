#include "runtime/device/cuda_device.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <thread>
#include <vector>

#include "runtime/device/cuda/cuda_status.h"

namespace longsight {
namespace {

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// Memory comes from the device's pool in the order of the stream that computes, and stays in the pool.
class CudaDevice final : public Device {
 public:
  CudaDevice(int number, const std::string& name, std::string id)
      : Device(Backend::cuda, name), number_(number), id_(std::move(id)) {
    use();
    for (cudaStream_t& stream : streams_)
      cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    set_streams(streams_[0], streams_[1], streams_[2]);
    cuda_check(cudaDeviceGetDefaultMemPool(&pool_, number_), "cudaDeviceGetDefaultMemPool");
    std::uint64_t keep = std::numeric_limits<std::uint64_t>::max();
    cuda_check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep),
               "cudaMemPoolSetAttribute");
  }

  // Nothing can be done about a status here: the process is about to end, or has been told already.
  ~CudaDevice() override {
    free_staging();
    cudaSetDevice(number_);
    for (cudaStream_t stream : streams_) {
      cudaStreamSynchronize(stream);
      cudaStreamDestroy(stream);
    }
  }

  std::string id() const override { return id_; }
  i64 alignment() const override { return 256; }  // what cuBLASLt's fastest kernels ask for
  i64 total_bytes() const override {
    use();
    std::size_t free = 0, total = 0;
    cuda_check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return static_cast<i64>(total);
  }
  // What the pool holds and nobody uses is free for this process.
  i64 free_bytes() const override {
    use();
    std::size_t free = 0, total = 0;
    std::uint64_t reserved = 0, used = 0;
    cuda_check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    cuda_check(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &reserved),
               "cudaMemPoolGetAttribute");
    cuda_check(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrUsedMemCurrent, &used),
               "cudaMemPoolGetAttribute");
    return static_cast<i64>(free + reserved - used);
  }

  void make_current() const override { use(); }

  // A thread of CUDA's own must not wait for MPI, which is used by this one alone.
  void queue_host_work(Stream stream, const char*, std::function<void()> work) override {
    synchronize(stream);
    work();
  }

 private:
  static cudaStream_t native(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }
  static cudaEvent_t native(void* event) { return static_cast<cudaEvent_t>(event); }
  void use() const { cuda_check(cudaSetDevice(number_), "cudaSetDevice"); }

  void* do_allocate(i64 bytes) override {
    use();
    const auto size = static_cast<std::size_t>(bytes);
    const cudaStream_t stream = native(compute());
    void* memory = nullptr;
    const cudaError_t status = cudaMallocAsync(&memory, size, stream);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // it is not to be found by the next call that asks
      return nullptr;
    }
    cuda_check(status, "cudaMallocAsync");
    cuda_check(cudaMemsetAsync(memory, 0, size, stream), "cudaMemsetAsync");
    // Other streams may use it, too.
    cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    return memory;
  }

  void do_release(void* memory, i64) noexcept override {
    cudaSetDevice(number_);
    for (cudaStream_t other : {streams_[1], streams_[2]}) {
      cudaEvent_t event = nullptr;
      if (cudaEventCreateWithFlags(&event, cudaEventDisableTiming) != cudaSuccess) continue;
      cudaEventRecord(event, other);
      cudaStreamWaitEvent(streams_[0], event, 0);
      cudaEventDestroy(event);  // once it has come
    }
    cudaFreeAsync(memory, streams_[0]);
  }

  void* do_allocate_pinned(i64 bytes) override {
    use();
    void* memory = nullptr;
    const cudaError_t status = cudaHostAlloc(&memory, static_cast<std::size_t>(bytes), cudaHostAllocDefault);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return nullptr;
    }
    cuda_check(status, "cudaHostAlloc");
    return memory;
  }

  void do_release_pinned(void* memory, i64) noexcept override { cudaFreeHost(memory); }

  void do_fill_zero(void* memory, i64 bytes, Stream stream) override {
    use();
    cuda_check(cudaMemsetAsync(memory, 0, static_cast<std::size_t>(bytes), native(stream)),
               "cudaMemsetAsync");
  }

  void do_copy(void* to, const void* from, i64 bytes, Way way, Stream stream) override {
    use();
    const cudaMemcpyKind kind = way == Way::within      ? cudaMemcpyDeviceToDevice
                                : way == Way::to_device ? cudaMemcpyHostToDevice
                                                        : cudaMemcpyDeviceToHost;
    cuda_check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, native(stream)),
               "cudaMemcpyAsync");
  }

  // Asleep between looks, so that the processor is free for a thread that has work.
  void do_synchronize(Stream stream) override {
    use();
    constexpr int kAtOnce = 200, kBetweenLooks = 400;
    for (int polls = 0;; ++polls) {
      const cudaError_t status = cudaStreamQuery(native(stream));
      if (status != cudaErrorNotReady) return cuda_check(status, "cudaStreamQuery");
      if (polls < kAtOnce) continue;
      if (polls % kBetweenLooks == 0) look();
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  void* make_event() override {
    use();
    cudaEvent_t event = nullptr;
    cuda_check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    return event;
  }
  void free_event(void* event) noexcept override { cudaEventDestroy(native(event)); }
  void record(void* event, Stream stream) override {
    use();
    cuda_check(cudaEventRecord(native(event), native(stream)), "cudaEventRecord");
  }
  void wait(Stream stream, void* event) override {
    use();
    cuda_check(cudaStreamWaitEvent(native(stream), native(event), 0), "cudaStreamWaitEvent");
  }
  void wait_on_host(void* event) override {
    use();
    cuda_check(cudaEventSynchronize(native(event)), "cudaEventSynchronize");
  }

  int number_;
  std::string id_;
  std::array<cudaStream_t, 3> streams_{};
  cudaMemPool_t pool_ = nullptr;
};

}  // namespace

CudaFacts cuda_facts() {
  CudaFacts facts{.built = true};
  int driver = 0, runtime = 0;
  if (cudaRuntimeGetVersion(&runtime) == cudaSuccess) facts.runtime = version_text(runtime);
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0) facts.driver = version_text(driver);
  const cudaError_t status = cudaGetDeviceCount(&facts.devices);
  if (status == cudaSuccess && facts.devices > 0) return facts;
  cudaGetLastError();
  facts.devices = 0;
  if (facts.driver.empty()) {
    facts.missing = "there is no NVIDIA driver (libcuda.so.1)";
  } else if (status == cudaErrorInsufficientDriver) {
    facts.missing = fmt::format("the NVIDIA driver knows CUDA {}, this program needs {}: update the driver",
                                facts.driver, facts.runtime);
  } else if (status == cudaErrorNoDevice || status == cudaSuccess) {
    const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
    facts.missing = "the NVIDIA driver finds no GPU";
    if (visible != nullptr) facts.missing += fmt::format(" (CUDA_VISIBLE_DEVICES={})", visible);
  } else {
    facts.missing = fmt::format("the NVIDIA driver says: {}", cudaGetErrorString(status));
  }
  return facts;
}

std::unique_ptr<Device> make_cuda_device(int number) {
  const CudaFacts facts = cuda_facts();
  require(facts.devices > 0, ExitCode::usage, "no GPU can be used: {}", facts.missing);
  require(number >= 0 && number < facts.devices, ExitCode::usage,
          "there is no GPU {}: this process may use {}", number, facts.devices);
  cudaDeviceProp properties{};
  cuda_check(cudaGetDeviceProperties(&properties, number), "cudaGetDeviceProperties");
  std::string id;
  for (const char byte : properties.uuid.bytes) id += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return std::make_unique<CudaDevice>(
      number, fmt::format("{} ({} of {})", properties.name, number + 1, facts.devices), std::move(id));
}

}  // namespace longsight
