// Where an operation runs. Every op and every collective takes a Stream, so a second backend needs no new
// interface.
#pragma once

namespace longsight {

enum class Backend { host, cuda };

inline const char* name_of(Backend backend) {
  return backend == Backend::host ? "host" : "cuda";
}

// An ordered queue of work. The host runs each call to its end before it returns, so its stream has no
// handle.
struct Stream {
  Backend backend = Backend::host;
  void* handle = nullptr;
};

}  // namespace longsight
