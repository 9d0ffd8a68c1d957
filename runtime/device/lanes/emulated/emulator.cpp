#include "runtime/device/lanes/emulated/emulator.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "runtime/base/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace longsight::lanes::emulated {
namespace {

constexpr std::size_t kStackBytes = 256 * 1024;

thread_local Order chosen_order = Order::forward;

// AddressSanitizer must be told of every change of stacks. `kept` is where the stack that is left keeps its
// fake frames.
void leaving([[maybe_unused]] void** kept, [[maybe_unused]] const void* stack,
             [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(kept, stack, bytes);
#endif
}
void arrived([[maybe_unused]] void* kept, [[maybe_unused]] const void** from,
             [[maybe_unused]] std::size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(kept, from, bytes);
#endif
}

std::vector<i64> ordered(i64 count, Order order, std::mt19937& random) {
  std::vector<i64> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), i64{0});
  if (order == Order::backward) std::reverse(numbers.begin(), numbers.end());
  if (order == Order::shuffled) std::shuffle(numbers.begin(), numbers.end(), random);
  return numbers;
}

}  // namespace

void set_order(Order order) {
  chosen_order = order;
}

int Lane::threads() const {
  return static_cast<int>(block_.fibers_.size());
}
i64 Lane::block() const {
  return block_.number_;
}
i64 Lane::blocks() const {
  return block_.numbers_;
}
void Lane::sync() {
  block_.park(thread_, Block::At::barrier);
}
void Lane::sync_warp() {
  block_.park(thread_, Block::At::warp);
}
std::byte* Lane::shared_memory() const {
  return block_.shared_.get();
}

const std::byte* Lane::exchange(const void* value, std::size_t bytes, int mask) {
  Block::Fiber& mine = block_.fibers_[static_cast<std::size_t>(thread_)];
  const unsigned turn = mine.exchanges++ % 2;
  std::memcpy(mine.slots[turn].bytes, value, bytes);
  block_.park(thread_, Block::At::warp);
  return block_.fibers_[static_cast<std::size_t>(thread_ ^ mask)].slots[turn].bytes;
}

Block::Block(int threads) : fibers_(static_cast<std::size_t>(threads)) {
  for (std::size_t t = 0; t < fibers_.size(); ++t) {
    Fiber& fiber = fibers_[t];
    fiber.stack = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&fiber.context, reinterpret_cast<void (*)()>(entry), 3, static_cast<unsigned>(self >> 32),
                static_cast<unsigned>(self), static_cast<unsigned>(t));
  }
}

void Block::run(i64 number, i64 numbers, i64 shared_bytes, Order order,
                const std::function<void(Lane&)>& body) {
  number_ = number;
  numbers_ = numbers;
  body_ = &body;
  shared_ = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(shared_bytes));
  std::fill_n(shared_.get(), shared_bytes, std::byte{0xff});  // NaN
  for (Fiber& fiber : fibers_) {
    fiber.at = At::running;
    fiber.exchanges = 0;
  }
  std::mt19937 random(static_cast<unsigned>(17 + number));
  const auto threads = static_cast<int>(fibers_.size());
  for (;;) {
    bool went_on = false;
    for (const i64 t : ordered(threads, order, random)) {
      if (fibers_[static_cast<std::size_t>(t)].at != At::running) continue;
      resume(static_cast<int>(t));
      went_on = true;
    }
    if (release_warps() || went_on) continue;
    if (count(At::done) == threads) return;
    if (count(At::barrier) == threads) {
      for (Fiber& fiber : fibers_) fiber.at = At::running;
      continue;
    }
    fail(ExitCode::internal,
         "divergent barrier in block {}: of {} threads {} wait for the block, {} for their warp, {} are done",
         number, threads, count(At::barrier), count(At::warp), count(At::done));
  }
}

bool Block::release_warps() {
  bool any = false;
  for (std::size_t first = 0; first < fibers_.size(); first += kWarp) {
    const auto warp = std::span(fibers_).subspan(first, kWarp);
    if (!std::all_of(warp.begin(), warp.end(), [](const Fiber& fiber) { return fiber.at == At::warp; }))
      continue;
    for (Fiber& fiber : warp) fiber.at = At::running;
    any = true;
  }
  return any;
}

int Block::count(At at) const {
  return static_cast<int>(
      std::count_if(fibers_.begin(), fibers_.end(), [at](const Fiber& fiber) { return fiber.at == at; }));
}

void Block::entry(unsigned high, unsigned low, unsigned thread) {
  auto* const self = reinterpret_cast<Block*>((std::uintptr_t{high} << 32) | low);
  arrived(nullptr, &self->main_stack_, &self->main_stack_bytes_);
  self->live(static_cast<int>(thread));
}

// A fiber lives as long as its block and runs the body once for each block number.
void Block::live(int thread) {
  for (;;) {
    Lane lane(*this, thread);
    (*body_)(lane);
    park(thread, At::done);
  }
}

void Block::resume(int thread) {
  Fiber& fiber = fibers_[static_cast<std::size_t>(thread)];
  leaving(&main_fake_stack_, fiber.stack.get(), kStackBytes);
  swapcontext(&main_, &fiber.context);
  arrived(main_fake_stack_, nullptr, nullptr);
}

void Block::park(int thread, At at) {
  Fiber& fiber = fibers_[static_cast<std::size_t>(thread)];
  fiber.at = at;
  leaving(&fiber.fake_stack, main_stack_, main_stack_bytes_);
  swapcontext(&fiber.context, &main_);
  arrived(fiber.fake_stack, &main_stack_, &main_stack_bytes_);
}

void run_grid(const char* kernel, i64 blocks, int threads, i64 shared_bytes,
              const std::function<void(Lane&)>& body) {
  // Kept between launches, by their number of threads; given up where threads wait in vain.
  thread_local std::map<int, std::unique_ptr<Block>> kept;
  std::unique_ptr<Block>& block = kept[threads];
  if (!block) block = std::make_unique<Block>(threads);
  std::mt19937 random(static_cast<unsigned>(blocks));
  try {
    for (const i64 number : ordered(blocks, chosen_order, random))
      block->run(number, blocks, shared_bytes, chosen_order, body);
  } catch (const Error& error) {
    block.reset();
    fail(error.code(), "kernel {}: {}", kernel, error.what());
  }
}

}  // namespace longsight::lanes::emulated
