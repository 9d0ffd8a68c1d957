// Calls of the system that may wait for a name server, a file server or a reader that is not there.
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <thread>

namespace longsight::launch {

// What `work` returns; nothing where it takes longer. It then goes on in a thread that is left behind, so it
// may use only what it owns, unless the process ends then.
template <class F>
auto within(double seconds, F work) -> std::optional<decltype(work())> {
  auto promise = std::make_shared<std::promise<decltype(work())>>();
  auto result = promise->get_future();
  std::thread([promise, work = std::move(work)]() mutable {
    try {
      promise->set_value(work());
    } catch (...) {
      promise->set_exception(std::current_exception());
    }
  }).detach();
  if (result.wait_for(std::chrono::duration<double>(seconds)) != std::future_status::ready)
    return std::nullopt;
  return result.get();
}

}  // namespace longsight::launch
