#include "launch/training/stop_request.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <initializer_list>
#include <thread>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

std::atomic<int> requests = 0, interrupts = 0, terms = 0, last_signal = 0;
std::atomic<bool> at_once = false;

constexpr int kInterruptsThatEnd = 3;

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) sigaddset(&set, signal);
  return set;
}

const char* name_of_signal(int signal) {
  return signal == SIGTERM ? "SIGTERM" : signal == SIGINT ? "SIGINT" : "SIGUSR1";
}

// Of the main thread and the one that waits for signals whoever comes first.
void end_if_at_once() {
  if (!at_once.exchange(false)) return;
  // A launcher ends the ranks that are left of a job with SIGTERM.
  log_info("stopped before the first step by {}: start again with the same command",
           name_of_signal(last_signal));
  std::_Exit(static_cast<int>(ExitCode::stopped));
}

void note(int signal) {
  last_signal = signal;
  ++requests;
  end_if_at_once();
  if (signal == SIGTERM) ++terms;
  if (signal != SIGINT || ++interrupts < kInterruptsThatEnd) return;
  std::signal(SIGINT, SIG_DFL);
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::raise(SIGINT);
}

}  // namespace

void hold_stop_signals() {
  const sigset_t set = stop_signals();
  check(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0, "pthread_sigmask");
  // A launcher may have had them ignored until somebody listens.
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) std::signal(signal, SIG_DFL);
}

void listen_for_stop() {
  std::thread([set = stop_signals()] {
    for (int signal = 0;;) {
      if (sigwait(&set, &signal) == 0) note(signal);
    }
  }).detach();
}

bool stop_requested() {
  return requests > 0;
}

void end_at_once_when_stopped(bool now) {
  at_once = now;
  if (stop_requested()) end_if_at_once();
}

int terminations() {
  return terms;
}

}  // namespace longsight::launch
