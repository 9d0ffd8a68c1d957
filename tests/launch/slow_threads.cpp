// A rank that is slow, for tests: preloaded into the real binary, it lets every thread that the main thread
// starts take LONGSIGHT_SLOW_MS milliseconds. Training starts one in each step, outside of collectives: it
// prepares the next step. With LONGSIGHT_SLOW_AFTER=N the first N threads take none.
#include <atomic>
#include <cstdlib>

#include <dlfcn.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                              void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto next = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  static std::atomic<long> threads = 0;
  const char* const slow = std::getenv("LONGSIGHT_SLOW_MS");
  const char* const after = std::getenv("LONGSIGHT_SLOW_AFTER");
  if (slow != nullptr && gettid() == getpid() && ++threads > (after == nullptr ? 0 : std::atol(after))) {
    const long ms = std::atol(slow);
    const timespec rest{.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&rest, nullptr);
  }
  return next(thread, attributes, run, argument);
}
