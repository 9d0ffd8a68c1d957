// Numbers that the host has made and ops look at: a value; copies share the numbers, and where they have been
// uploaded (runtime/tensor/upload.h), those on the device.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/number.h"
#include "runtime/device/device.h"

namespace longsight {

template <class T>
class SharedList {
 public:
  SharedList() = default;
  SharedList(std::vector<T> values)  // NOLINT: implicit
      : state_(std::make_shared<State>(State{std::move(values)})) {}

  std::size_t size() const { return state_ ? state_->values.size() : 0; }
  bool empty() const { return size() == 0; }
  std::span<const T> host() const {
    return state_ ? std::span<const T>(state_->values) : std::span<const T>();
  }

  // Where the work of a stream finds them: on the host, or uploaded to its device. Throws where they are not
  // there: a list that nobody has uploaded would be copied at each use.
  std::span<const T> on(Stream stream) const {
    if (empty() || stream.device == nullptr) return host();
    check(state_->device == stream.device, "{} numbers were not uploaded to {}", size(),
          stream.device->name());
    return {state_->uploaded, size()};
  }
  bool is_on(const Device& device) const { return empty() || state_->device == &device; }

 private:
  friend class Upload;
  struct State {
    std::vector<T> values;
    const Device* device = nullptr;
    const T* uploaded = nullptr;
  };
  std::shared_ptr<State> state_;
};

}  // namespace longsight
