#include "runtime/device/simulated_device.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <numeric>

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

namespace longsight {
namespace {

i64 page_bytes() {
  static const i64 bytes = sysconf(_SC_PAGESIZE);
  return bytes;
}

i64 in_pages(i64 bytes) {
  return ceil_div(bytes, page_bytes()) * page_bytes();
}

}  // namespace

// ---- which pages work touches

// A page that is read for the first time may be read from then on, and one that is written may be written:
// the handler of the signal sees both.
class SimulatedDevice::Recorder {
 public:
  Recorder(std::byte* begin, i64 bytes)
      : begin_(begin), bytes_(bytes), touched_(static_cast<std::size_t>(bytes / page_bytes())) {}

  void run(const std::function<void()>& work, DeviceLog::Entry& entry) {
    struct sigaction own {};
    own.sa_sigaction = on_fault;
    own.sa_flags = SA_SIGINFO | SA_NODEFER;
    current_ = this;
    highest_ = 0;
    sigaction(SIGSEGV, &own, &before_);
    try {
      work();
    } catch (...) {
      end();
      throw;
    }
    end();
    for (i64 page = 0; page < highest_; ++page) {
      std::atomic<unsigned char>& touched = touched_[static_cast<std::size_t>(page)];
      const unsigned char what = touched.exchange(0);
      if (what == kRead) entry.read.push_back(page);
      if (what == kWritten) entry.written.push_back(page);
    }
    if (highest_ > 0) mprotect(begin_, static_cast<std::size_t>(highest_ * page_bytes()), PROT_NONE);
  }

 private:
  static constexpr unsigned char kRead = 1, kWritten = 2;

  void end() {
    sigaction(SIGSEGV, &before_, nullptr);
    current_ = nullptr;
  }

  static void on_fault(int signal, siginfo_t* info, void* context) {
    Recorder* const self = current_;
    const auto* const address = static_cast<std::byte*>(info->si_addr);
    if (self == nullptr || address < self->begin_ || address >= self->begin_ + self->bytes_) {
      sigaction(signal, &self->before_, nullptr);  // not ours: it comes again, to whom it came before
      return;
    }
    constexpr greg_t kWriteFault = 2;  // of the error code of a page fault (Intel SDM 3A, 4.7)
    const greg_t fault = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR];
    self->touch((address - self->begin_) / page_bytes(), (fault & kWriteFault) != 0 ? kWritten : kRead);
  }

  void touch(i64 page, unsigned char how) {
    std::atomic<unsigned char>& touched = touched_[static_cast<std::size_t>(page)];
    unsigned char seen = touched.load();
    while (seen < how && !touched.compare_exchange_weak(seen, how)) {
    }
    i64 highest = highest_;
    while (highest <= page && !highest_.compare_exchange_weak(highest, page + 1)) {
    }
    const bool writes = std::max(seen, how) == kWritten;
    mprotect(begin_ + page * page_bytes(), static_cast<std::size_t>(page_bytes()),
             writes ? PROT_READ | PROT_WRITE : PROT_READ);
  }

  inline static std::atomic<Recorder*> current_ = nullptr;
  std::byte* begin_;
  i64 bytes_;
  std::vector<std::atomic<unsigned char>> touched_;
  std::atomic<i64> highest_ = 0;
  struct sigaction before_ {};
};

SimulatedDevice::SimulatedDevice(const Options& options)
    : Device(Backend::simulated, "a simulated device"), options_(options), random_(options.seed.value_or(0)) {
  // Addresses are not used twice: what touches released memory faults.
  addresses_ = in_pages(4 * options.bytes);
  void* const memory = mmap(nullptr, static_cast<std::size_t>(addresses_), PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(memory != MAP_FAILED, ExitCode::internal, "no addresses for a simulated device of {} bytes",
          options.bytes);
  begin_ = static_cast<std::byte*>(memory);
  if (options.records) recorder_ = std::make_unique<Recorder>(begin_, addresses_);
  set_streams(&queues_[0], &queues_[1], &queues_[2]);
}

SimulatedDevice::~SimulatedDevice() {
  free_staging();
  munmap(begin_, static_cast<std::size_t>(addresses_));
}

i64 SimulatedDevice::alignment() const {
  return page_bytes();
}

// ---- memory

i64 SimulatedDevice::free_bytes() const {
  const std::lock_guard lock(queues_mutex_);
  return options_.bytes - used_;
}

void* SimulatedDevice::do_allocate(i64 bytes) {
  const std::lock_guard lock(queues_mutex_);
  const i64 size = in_pages(bytes);
  if (used_ + size > options_.bytes) return nullptr;
  check(used_addresses_ + size + page_bytes() <= addresses_, "a simulated device has used all its addresses");
  const Memory fresh{begin_ + used_addresses_, size};
  used_addresses_ += size + page_bytes();  // and one that is nobody's
  used_ += size;
  memory_.push_back(fresh);
  return fresh.begin;
}

void SimulatedDevice::do_release(void* memory, i64) noexcept {
  const std::lock_guard lock(queues_mutex_);
  const auto found =
      std::find_if(memory_.begin(), memory_.end(), [&](const Memory& m) { return m.begin == memory; });
  if (found == memory_.end()) return;
  used_ -= found->bytes;
  if (idle()) {
    forget(*found);
  } else {
    retired_.push_back(*found);  // what is queued may still use it
  }
  memory_.erase(found);
}

void SimulatedDevice::forget(const Memory& memory) noexcept {
  const auto bytes = static_cast<std::size_t>(memory.bytes);
  mprotect(memory.begin, bytes, PROT_NONE);
  madvise(memory.begin, bytes, MADV_DONTNEED);
}

void* SimulatedDevice::do_allocate_pinned(i64 bytes) {
  return std::calloc(1, static_cast<std::size_t>(bytes));
}

void SimulatedDevice::do_release_pinned(void* memory, i64) noexcept {
  std::free(memory);
}

void SimulatedDevice::protect(int protection) {
  for (const std::vector<Memory>* list : {&memory_, &retired_}) {
    for (const Memory& m : *list) mprotect(m.begin, static_cast<std::size_t>(m.bytes), protection);
  }
}

// ---- what is queued

std::size_t SimulatedDevice::index_of(Stream stream) const {
  for (std::size_t s = 0; s < queues_.size(); ++s) {
    if (stream.handle == &queues_[s]) return s;
  }
  fail(ExitCode::internal, "a stream of {} for {}", name_of(stream.backend), name());
}

void SimulatedDevice::note(DeviceLog::Kind kind, std::size_t stream, i64 event, const char* name) {
  log_.entries.push_back({.kind = kind, .stream = static_cast<int>(stream), .event = event, .name = name});
}

void SimulatedDevice::push(std::size_t stream, DeviceLog::Kind kind, const char* name, Item item) {
  if (kind == DeviceLog::Kind::work) note(kind, stream, -1, name);
  item.entry = static_cast<std::size_t>(log_begin_) + log_.entries.size() - 1;
  queues_[stream].push_back(std::move(item));
}

void SimulatedDevice::queue_host_work(Stream stream, const char* name, std::function<void()> work) {
  const std::lock_guard lock(queues_mutex_);
  push(index_of(stream), DeviceLog::Kind::work, name, {.work = std::move(work), .waits_for = {}});
}

void SimulatedDevice::do_fill_zero(void* memory, i64 bytes, Stream stream) {
  queue_host_work(stream, "fill_zero", [=] { std::memset(memory, 0, static_cast<std::size_t>(bytes)); });
}

void SimulatedDevice::do_copy(void* to, const void* from, i64 bytes, Way way, Stream stream) {
  const char* const name = way == Way::within      ? "copy"
                           : way == Way::to_device ? "copy to device"
                                                   : "copy to host";
  queue_host_work(stream, name, [=] { std::memcpy(to, from, static_cast<std::size_t>(bytes)); });
}

void* SimulatedDevice::make_event() {
  return new EventState;
}

void SimulatedDevice::free_event(void* event) noexcept {
  delete static_cast<EventState*>(event);
}

void SimulatedDevice::record(void* event, Stream stream) {
  const std::lock_guard lock(queues_mutex_);
  EventState& state = *static_cast<EventState*>(event);
  state = {std::make_shared<bool>(false), events_++};
  const std::size_t s = index_of(stream);
  note(DeviceLog::Kind::record, s, state.number, "");
  push(s, DeviceLog::Kind::record, "", {.work = {}, .waits_for = {}, .sets = state.come});
}

void SimulatedDevice::wait(Stream stream, void* event) {
  const std::lock_guard lock(queues_mutex_);
  const EventState& state = *static_cast<EventState*>(event);
  if (!state.come || waits_++ == options_.forgotten_wait) return;
  const std::size_t s = index_of(stream);
  note(DeviceLog::Kind::wait, s, state.number, "");
  push(s, DeviceLog::Kind::wait, "", {.work = {}, .waits_for = state.come});
}

// ---- and run

bool SimulatedDevice::idle() const {
  const std::lock_guard lock(queues_mutex_);
  return std::all_of(queues_.begin(), queues_.end(), [](const auto& queue) { return queue.empty(); });
}

void SimulatedDevice::clear_log() {
  const std::lock_guard lock(queues_mutex_);
  check(idle(), "the log of a device that has work to do is cleared");
  log_begin_ += static_cast<i64>(log_.entries.size());
  log_.entries.clear();
}

void SimulatedDevice::do_synchronize(Stream stream) {
  const std::size_t s = index_of(stream);
  // Everything: another process may wait for what is left on a stream that this one does not wait for.
  run_until([this] { return idle(); });
  const std::lock_guard lock(queues_mutex_);
  note(DeviceLog::Kind::host_sync, s, -1, "");
}

void SimulatedDevice::wait_on_host(void* event) {
  const EventState state = *static_cast<EventState*>(event);
  if (!state.come) return;
  run_until([&] { return *state.come; });
  const std::lock_guard lock(queues_mutex_);
  note(DeviceLog::Kind::host_wait, 0, state.number, "");
}

// The stream that goes on: among those that can, the one that has been the most urgent for a while, so that
// streams run far ahead of each other. Without a seed that whose work was queued first.
std::optional<std::size_t> SimulatedDevice::next_stream() {
  constexpr u64 kPiecesInARow = 8;
  if (options_.seed && random_() % kPiecesInARow == 0)
    std::shuffle(urgency_.begin(), urgency_.end(), random_);
  std::optional<std::size_t> first;
  for (const std::size_t s : urgency_) {
    if (queues_[s].empty()) continue;
    const Item& item = queues_[s].front();
    if (item.waits_for && !*item.waits_for) continue;
    if (options_.seed) return s;
    if (!first || item.entry < queues_[*first].front().entry) first = s;
  }
  return first;
}

void SimulatedDevice::run_until(const std::function<bool()>& reached) {
  const std::lock_guard running(running_);
  std::unique_lock lock(queues_mutex_);
  if (reached()) return;
  i64 opened = -1;  // addresses that work may use
  const auto close = [&] {
    if (!recorder_) protect(PROT_NONE);
  };
  try {
    while (!reached()) {
      if (!recorder_ && opened != used_addresses_) {
        protect(PROT_READ | PROT_WRITE);
        opened = used_addresses_;
      }
      const auto s = next_stream();
      check(s.has_value(), "a simulated device waits for an event that nobody will record");
      Item item = std::move(queues_[*s].front());
      queues_[*s].pop_front();
      if (item.work) {
        lock.unlock();
        execute(item);
        lock.lock();
      }
      if (item.sets) *item.sets = true;
    }
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    for (auto& queue : queues_) queue.clear();
    close();
    throw;
  }
  close();
  if (!idle()) return;
  for (const Memory& memory : retired_) forget(memory);
  retired_.clear();
}

void SimulatedDevice::execute(Item& item) {
  if (!recorder_) return item.work();
  DeviceLog::Entry touched;
  recorder_->run(item.work, touched);
  const std::lock_guard lock(queues_mutex_);
  const i64 at = static_cast<i64>(item.entry) - log_begin_;
  if (at < 0) return;
  DeviceLog::Entry& entry = log_.entries[static_cast<std::size_t>(at)];
  entry.read = std::move(touched.read);
  entry.written = std::move(touched.written);
}

}  // namespace longsight
