// Runs the bodies of kernels on the host, for tests: each thread of a block is a fiber, barriers and shuffles
// are where fibers wait for each other. What a thread may rely on is what the barriers say, so the order in
// which threads and blocks go on is chosen by the test: a body whose results depend on it lacks a barrier.
// Fresh shared memory is NaN. A barrier or a shuffle that not all threads reach throws, and the memory of
// each block has its own allocation, so that AddressSanitizer sees an access behind its end.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include <ucontext.h>

#include "runtime/device/lanes/lane.h"

namespace longsight::lanes::emulated {

enum class Order { forward, backward, shuffled };

// Of the threads and blocks of what is launched from here on by this thread of the test.
void set_order(Order order);

class Block;

class Lane {
 public:
  Lane(Block& block, int thread) : block_(block), thread_(thread) {}
  int thread() const { return thread_; }
  int threads() const;
  i64 block() const;
  i64 blocks() const;
  void sync();
  void sync_warp();
  template <class T>
  T shuffle_xor(const T& value, int mask) {
    static_assert(sizeof(T) % 4 == 0 && sizeof(T) <= 16);
    T result;
    std::memcpy(&result, exchange(&value, sizeof(T), mask), sizeof(T));
    return result;
  }
  template <class T>
  T* shared(std::size_t bytes = 0) const {
    return reinterpret_cast<T*>(shared_memory() + bytes);
  }

 private:
  const std::byte* exchange(const void* value, std::size_t bytes, int mask);
  std::byte* shared_memory() const;

  Block& block_;
  int thread_;
};

// The fibers of a block, which run one block after the other.
class Block {
 public:
  explicit Block(int threads);
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // Runs the body in each thread of block `number` of `numbers` with so much shared memory; throws where the
  // threads wait for each other in vain.
  void run(i64 number, i64 numbers, i64 shared_bytes, Order order, const std::function<void(Lane&)>& body);

 private:
  friend class Lane;
  enum class At { running, barrier, warp, done };
  struct Slot {
    alignas(16) std::byte bytes[16];
  };
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<std::byte[]> stack;
    At at = At::done;
    Slot slots[2];  // written in turn: a thread is never two exchanges ahead of another of its warp
    unsigned exchanges = 0;
    void* fake_stack = nullptr;
  };

  static void entry(unsigned high, unsigned low, unsigned thread);
  void live(int thread);
  void resume(int thread);
  void park(int thread, At at);
  bool release_warps();
  int count(At at) const;

  std::vector<Fiber> fibers_;
  std::unique_ptr<std::byte[]> shared_;
  const std::function<void(Lane&)>* body_ = nullptr;
  i64 number_ = 0, numbers_ = 0;
  ucontext_t main_{};
  void* main_fake_stack_ = nullptr;
  const void* main_stack_ = nullptr;
  std::size_t main_stack_bytes_ = 0;
};

// Runs all blocks of a grid.
void run_grid(const char* kernel, i64 blocks, int threads, i64 shared_bytes,
              const std::function<void(Lane&)>& body);

}  // namespace longsight::lanes::emulated
