#include "launch/training/stop_request.h"

#include <atomic>
#include <csignal>
#include <initializer_list>
#include <thread>

#include "runtime/base/error.h"

namespace longsight::launch {
namespace {

std::atomic<int> requests = 0, interrupts = 0, terms = 0;

constexpr int kInterruptsThatEnd = 3;

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) sigaddset(&set, signal);
  return set;
}

void note(int signal) {
  ++requests;
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

int terminations() {
  return terms;
}

}  // namespace longsight::launch
