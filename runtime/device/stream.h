// Where an operation runs. Every op and every collective takes a Stream, so that another backend needs no
// other interface.
#pragma once

namespace longsight {

// trace: nothing is computed, the work of every call is recorded (runtime/device/trace.h).
enum class Backend { host, cuda, trace };

inline const char* name_of(Backend backend) {
  switch (backend) {
    case Backend::host:
      return "host";
    case Backend::cuda:
      return "cuda";
    case Backend::trace:
      return "trace";
  }
  return "?";
}

// An ordered queue of work. The host runs each call to its end before it returns, so its stream has no
// handle; that of a trace is the Trace.
struct Stream {
  Backend backend = Backend::host;
  void* handle = nullptr;
};

}  // namespace longsight
