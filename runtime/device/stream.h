// Where an operation runs. Every op and every collective takes a Stream, so that another backend needs no
// other interface.
#pragma once

namespace longsight {

// trace: nothing is computed, the work of every call is recorded (runtime/device/trace.h). simulated: the
// host computes later, in any order that streams and events allow (runtime/device/simulated_device.h).
enum class Backend { host, cuda, trace, simulated };

inline const char* name_of(Backend backend) {
  switch (backend) {
    case Backend::host:
      return "host";
    case Backend::cuda:
      return "cuda";
    case Backend::trace:
      return "trace";
    case Backend::simulated:
      return "simulated";
  }
  return "?";
}

// Whether the host's executors compute there, at once or when their turn comes.
constexpr bool host_computes(Backend backend) {
  return backend == Backend::host || backend == Backend::simulated;
}

class Device;

// An ordered queue of work. The host runs each call to its end before it returns, so its stream has no
// handle; that of a trace is the Trace, that of CUDA the cudaStream_t.
struct Stream {
  Backend backend = Backend::host;
  void* handle = nullptr;
  Device* device = nullptr;  // that the stream belongs to; null: the host, or a trace
};

}  // namespace longsight
