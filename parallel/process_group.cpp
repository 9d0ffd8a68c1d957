#include "parallel/process_group.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <numeric>

namespace longsight::parallel {
namespace {

// One collective instead of two where the whole result is this small; the bits are the same.
constexpr i64 kSmallReductionBytes = 16 << 10;

const std::byte* at(const void* data, i64 element, DType dtype) {
  return static_cast<const std::byte*>(data) + element * size_of(dtype);
}
std::byte* at(void* data, i64 element, DType dtype) {
  return static_cast<std::byte*>(data) + element * size_of(dtype);
}

i64 sum_of(std::span<const i64> counts) {
  return std::accumulate(counts.begin(), counts.end(), i64{0});
}

template <class F>
void with_reducible(DType dtype, F&& f) {
  switch (dtype) {
    case DType::F32:
      return f(float{});
    case DType::F64:
      return f(double{});
    case DType::I32:
      return f(std::int32_t{});
    case DType::I64:
      return f(i64{});
    default:
      check(false, "{} is not reduced over ranks", name_of(dtype));
  }
}

template <class T>
T larger(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
  }
  return a < b ? b : a;
}

// Of plain pointers, and not inlined into the parallel region: there GCC gathers the terms one by one.
template <class T>
[[gnu::noinline]] void add_into(T* total, const T* x, i64 count) {
#pragma omp simd
  for (i64 i = 0; i < count; ++i) total[i] += x[i];
}

template <class T>
[[gnu::noinline]] void larger_into(T* total, const T* x, i64 count) {
  for (i64 i = 0; i < count; ++i) total[i] = larger(total[i], x[i]);
}

// out[i] = in[0][i] op in[1][i] op ..., from left to right. `out` may be one of the inputs.
template <class T>
void combine(std::span<const T* const> in, T* out, i64 count, void (*into)(T*, const T*, i64)) {
  constexpr i64 kBlock = 2048;  // stays in the first-level cache while the ranks' blocks pass by
  const i64 blocks = ceil_div(count, kBlock);
#pragma omp parallel for schedule(static) if (blocks > 16)
  for (i64 block = 0; block < blocks; ++block) {
    const i64 first = block * kBlock;
    const i64 here = std::min(kBlock, count - first);
    std::array<T, kBlock> total;
    std::copy_n(in[0] + first, here, total.begin());
    for (std::size_t r = 1; r < in.size(); ++r) {
      into(total.data(), in[r] + first, here);
    }
    std::copy_n(total.begin(), here, out + first);
  }
}

}  // namespace

CommunicationCounters& CommunicationCounters::operator+=(const CommunicationCounters& other) {
  bytes_sent += other.bytes_sent;
  calls += other.calls;
  seconds += other.seconds;
  return *this;
}

const char* name_of(Operation operation) {
  switch (operation) {
    case Operation::all_to_all:
      return "all_to_all";
    case Operation::all_gather:
      return "all_gather";
    case Operation::reduce_scatter:
      return "reduce_scatter";
    case Operation::all_reduce_sum:
      return "all_reduce_sum";
    case Operation::all_reduce_max:
      return "all_reduce_max";
    case Operation::broadcast:
      return "broadcast";
    case Operation::shift:
      return "shift";
    case Operation::transfer:
      return "transfer";
    case Operation::values:
      return "values";
    case Operation::barrier:
      return "barrier";
  }
  return "unknown";
}

template <class... A>
void ProcessGroup::check_call(bool ok, const Call& call, fmt::format_string<A...> text, A&&... values) const {
  if (!ok) fail(ExitCode::internal, "{}: {}", describe(call), fmt::format(text, std::forward<A>(values)...));
}

// A call on its way: announced before it is issued, counted and timed when it ends.
class ProcessGroup::Running {
 public:
  Running(ProcessGroup& group, Stream stream, const Call& call) : group_(group) {
    group.check_call(stream.backend == Backend::host, call, "a host group got a {} stream",
                     longsight::name_of(stream.backend));
    group.announce(call);
    start_ = std::chrono::steady_clock::now();
  }
  ~Running() {
    CommunicationCounters& counters = group_.state_->counters;
    ++counters.calls;
    counters.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  ProcessGroup& group_;
  std::chrono::steady_clock::time_point start_;
};

ProcessGroup::ProcessGroup(int rank, int size, std::string label)
    : rank_(rank), size_(size), state_(std::make_shared<State>()) {
  state_->label = std::move(label);
}

std::string ProcessGroup::describe(const Call& call) const {
  return fmt::format("group {}, rank {} of {}: {} \"{}\"", label(), rank_, size_, name_of(call.operation),
                     call.label);
}

void ProcessGroup::abort(int code) {
  std::fflush(nullptr);
  do_abort(code);
  std::_Exit(code);
}

void ProcessGroup::check_counts(std::span<const i64> counts, const Call& call) const {
  check_call(static_cast<int>(counts.size()) == size_, call, "{} counts for {} ranks", counts.size(), size_);
  for (i64 count : counts) check_call(count >= 0, call, "a count is {}", count);
}

void ProcessGroup::exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType dtype,
                            const char* label) {
  for (int r = 0; r < size_; ++r) {
    if (r != rank_) state_->counters.bytes_sent += send[static_cast<std::size_t>(r)].count * size_of(dtype);
  }
  do_exchange(send, recv, dtype, label);
}

void ProcessGroup::send_recv(Outgoing send, int to, Incoming recv, int from, DType dtype, const char* label) {
  if (to >= 0) state_->counters.bytes_sent += send.count * size_of(dtype);
  do_send_recv(send, to, recv, from, dtype, label);
}

void ProcessGroup::gather(const void* value, void* all, i64 bytes, const char* label) {
  state_->counters.bytes_sent += bytes * (size_ - 1);
  do_gather(value, all, bytes, label);
}

void ProcessGroup::all_to_all_v(const void* send, std::span<const i64> send_counts, void* recv,
                                std::span<const i64> recv_counts, DType dtype, Stream stream,
                                const char* label) {
  const Call call{Operation::all_to_all, label, dtype, send_counts, recv_counts};
  check_counts(send_counts, call);
  check_counts(recv_counts, call);
  const std::size_t me = static_cast<std::size_t>(rank_);
  check_call(send_counts[me] == recv_counts[me], call, "sends {} elements to itself but expects {}",
             send_counts[me], recv_counts[me]);
  const Running running(*this, stream, call);
  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  i64 sent = 0;
  i64 received = 0;
  for (std::size_t r = 0; r < send_counts.size(); ++r) {
    out.push_back({at(send, sent, dtype), send_counts[r]});
    in.push_back({at(recv, received, dtype), recv_counts[r]});
    sent += send_counts[r];
    received += recv_counts[r];
  }
  exchange(out, in, dtype, label);
}

void ProcessGroup::all_gather_v(const void* send, void* recv, std::span<const i64> counts, DType dtype,
                                Stream stream, const char* label) {
  const Call call{Operation::all_gather, label, dtype, counts};
  check_counts(counts, call);
  const Running running(*this, stream, call);
  const std::vector<Outgoing> out(counts.size(), {send, counts[static_cast<std::size_t>(rank_)]});
  std::vector<Incoming> in;
  i64 received = 0;
  for (i64 count : counts) {
    in.push_back({at(recv, received, dtype), count});
    received += count;
  }
  exchange(out, in, dtype, label);
}

// Elements per rank of one round of a reduction.
i64 ProcessGroup::reduction_piece(DType dtype) const {
  return std::max(i64{1}, reduction_scratch_bytes / size_of(dtype) / std::max(1, size_ - 1));
}

// result = this rank's block, combined over all ranks. blocks[r] is what this rank holds of rank r's block; a
// block has at most reduction_piece elements. `result` may be blocks[rank()].
void ProcessGroup::reduce_blocks(std::span<const Outgoing> blocks, void* result, DType dtype,
                                 Reduction reduction, const char* label) {
  const std::size_t me = static_cast<std::size_t>(rank_);
  const i64 count = blocks[me].count;
  const i64 needed = reduction_piece(dtype) * (size_ - 1) * size_of(dtype);
  Storage& scratch = state_->scratch;
  if (scratch.bytes() < needed) scratch = Storage(needed, "reduction scratch");
  void* const memory = scratch.tensor(DType::U8, {scratch.bytes()}).data();

  std::vector<Outgoing> out(blocks.begin(), blocks.end());
  out[me] = {};
  std::vector<Incoming> in(blocks.size());
  for (std::size_t r = 0, slot = 0; r < in.size(); ++r) {
    if (r != me) in[r] = {at(memory, static_cast<i64>(slot++) * count, dtype), count};
  }
  exchange(out, in, dtype, label);
  with_reducible(dtype, [&](auto zero) {
    using T = decltype(zero);
    std::vector<const T*> terms(in.size());
    for (std::size_t r = 0; r < in.size(); ++r) {
      terms[r] = static_cast<const T*>(r == me ? blocks[r].data : in[r].data);
    }
    T* const total = static_cast<T*>(result);
    if (reduction == Reduction::sum) {
      combine<T>(terms, total, count, add_into<T>);
    } else {
      combine<T>(terms, total, count, larger_into<T>);
    }
  });
}

void ProcessGroup::reduce_scatter_v(const void* send, void* recv, std::span<const i64> counts, DType dtype,
                                    Stream stream, const char* label) {
  const Call call{Operation::reduce_scatter, label, dtype, counts};
  check_counts(counts, call);
  with_reducible(dtype, [](auto) {});
  const Running running(*this, stream, call);
  const i64 piece = reduction_piece(dtype);
  const i64 longest = *std::max_element(counts.begin(), counts.end());
  for (i64 done = 0; done < longest; done += piece) {
    std::vector<Outgoing> blocks;
    i64 displacement = 0;
    for (i64 count : counts) {
      const i64 here = std::clamp(count - done, i64{0}, piece);
      blocks.push_back({here > 0 ? at(send, displacement + done, dtype) : nullptr, here});
      displacement += count;
    }
    const bool mine = blocks[static_cast<std::size_t>(rank_)].count > 0;
    reduce_blocks(blocks, mine ? at(recv, done, dtype) : nullptr, dtype, Reduction::sum, label);
  }
}

void ProcessGroup::all_reduce(Tensor data, Reduction reduction, Stream stream, const Call& call) {
  const DType dtype = data.dtype();
  with_reducible(dtype, [](auto) {});
  const Running running(*this, stream, call);
  const std::size_t ranks = static_cast<std::size_t>(size_);
  const std::size_t me = static_cast<std::size_t>(rank_);
  if (size_ == 1 || data.elements() == 0) return;

  if (data.bytes() * size_ <= kSmallReductionBytes) {
    std::vector<i64> memory(ranks * static_cast<std::size_t>(ceil_div(data.bytes(), 8)));
    gather(data.data(), memory.data(), data.bytes(), call.label);
    with_reducible(dtype, [&](auto zero) {
      using T = decltype(zero);
      std::vector<const T*> terms(ranks);
      for (std::size_t r = 0; r < ranks; ++r) {
        terms[r] =
            reinterpret_cast<const T*>(at(memory.data(), static_cast<i64>(r) * data.elements(), dtype));
      }
      if (reduction == Reduction::sum) {
        combine<T>(terms, data.host<T>(), data.elements(), add_into<T>);
      } else {
        combine<T>(terms, data.host<T>(), data.elements(), larger_into<T>);
      }
    });
    return;
  }

  // Round by round: each rank combines one slice of the round, then all gather the slices.
  const i64 round = reduction_piece(dtype) * size_;
  for (i64 done = 0; done < data.elements(); done += round) {
    const i64 here = std::min(round, data.elements() - done);
    std::vector<Outgoing> slices;
    std::vector<Incoming> results;
    for (i64 r = 0; r < size_; ++r) {
      const i64 first = here * r / size_;
      const i64 last = here * (r + 1) / size_;
      std::byte* const slice = at(data.data(), done + first, dtype);
      slices.push_back({slice, last - first});
      results.push_back({slice, last - first});
    }
    reduce_blocks(slices, results[me].data, dtype, reduction, call.label);
    const std::vector<Outgoing> mine(ranks, {results[me].data, results[me].count});
    exchange(mine, results, dtype, call.label);
  }
}

void ProcessGroup::all_reduce_sum(Tensor data, Stream stream, const char* label) {
  const i64 count = data.elements();
  all_reduce(data, Reduction::sum, stream, {Operation::all_reduce_sum, label, data.dtype(), {&count, 1}});
}

void ProcessGroup::all_reduce_max(Tensor data, Stream stream, const char* label) {
  const i64 count = data.elements();
  all_reduce(data, Reduction::max, stream, {Operation::all_reduce_max, label, data.dtype(), {&count, 1}});
}

double ProcessGroup::all_reduce_sum(double value, Stream stream, const char* label) {
  all_reduce_sum(Tensor(&value, DType::F64, {1}), stream, label);
  return value;
}
i64 ProcessGroup::all_reduce_sum(i64 value, Stream stream, const char* label) {
  all_reduce_sum(Tensor(&value, DType::I64, {1}), stream, label);
  return value;
}
double ProcessGroup::all_reduce_max(double value, Stream stream, const char* label) {
  all_reduce_max(Tensor(&value, DType::F64, {1}), stream, label);
  return value;
}
i64 ProcessGroup::all_reduce_max(i64 value, Stream stream, const char* label) {
  all_reduce_max(Tensor(&value, DType::I64, {1}), stream, label);
  return value;
}

void ProcessGroup::broadcast(void* data, i64 count, DType dtype, int root, Stream stream, const char* label) {
  const Call call{Operation::broadcast, label, dtype, {&count, 1}, {}, root};
  check_call(root >= 0 && root < size_ && count >= 0, call, "root {}, {} elements", root, count);
  const Running running(*this, stream, call);
  const i64 bytes = checked_mul(count, size_of(dtype));
  if (rank_ == root) state_->counters.bytes_sent += bytes * (size_ - 1);
  if (size_ > 1 && bytes > 0) do_broadcast(data, bytes, root, label);
}

void ProcessGroup::shift(const void* send, i64 send_count, void* recv, i64 recv_count, int offset,
                         DType dtype, Stream stream, const char* label) {
  const Call call{Operation::shift, label, dtype, {&send_count, 1}, {&recv_count, 1}, offset};
  check_call(send_count >= 0 && recv_count >= 0, call, "counts {}, {}", send_count, recv_count);
  const int step = (offset % size_ + size_) % size_;
  check_call(step != 0 || send_count == recv_count, call, "sends {} elements to itself but expects {}",
             send_count, recv_count);
  const Running running(*this, stream, call);
  if (step == 0) {
    if (send_count > 0 && send != recv)
      std::memcpy(recv, send, static_cast<std::size_t>(send_count * size_of(dtype)));
    return;
  }
  send_recv({send, send_count}, (rank_ + step) % size_, {recv, recv_count}, (rank_ - step + size_) % size_,
            dtype, label);
}

void ProcessGroup::send(const void* data, i64 count, DType dtype, int to, Stream stream, const char* label) {
  const Call call{Operation::transfer, label, dtype, {&count, 1}, {}, to};
  check_call(to >= 0 && to < size_ && to != rank_ && count >= 0, call, "to rank {}, {} elements", to, count);
  const Running running(*this, stream, call);
  send_recv({data, count}, to, {}, -1, dtype, label);
}

void ProcessGroup::recv(void* data, i64 count, DType dtype, int from, Stream stream, const char* label) {
  const Call call{Operation::transfer, label, dtype, {}, {&count, 1}, from};
  check_call(from >= 0 && from < size_ && from != rank_ && count >= 0, call, "from rank {}, {} elements",
             from, count);
  const Running running(*this, stream, call);
  send_recv({}, -1, {data, count}, from, dtype, label);
}

void ProcessGroup::barrier(Stream stream, const char* label) {
  const Running running(*this, stream, {Operation::barrier, label});
  if (size_ > 1) do_barrier(label);
}

void ProcessGroup::all_gather_bytes(const void* value, void* all, std::size_t bytes, Stream stream,
                                    const char* label) {
  const i64 count = narrow<i64>(bytes);
  const Running running(*this, stream, {Operation::values, label, DType::U8, {&count, 1}});
  gather(value, all, count, label);
}

std::vector<std::string> ProcessGroup::all_gather(const std::string& text, Stream stream, const char* label) {
  const std::vector<i64> lengths = all_gather(static_cast<i64>(text.size()), stream, label);
  std::string joined(static_cast<std::size_t>(sum_of(lengths)), '\0');
  all_gather_v(text.data(), joined.data(), lengths, DType::U8, stream, label);
  std::vector<std::string> texts;
  std::size_t first = 0;
  for (i64 length : lengths) {
    texts.push_back(joined.substr(first, static_cast<std::size_t>(length)));
    first += static_cast<std::size_t>(length);
  }
  return texts;
}

void ProcessGroup::all_to_all_v(Tensor send, std::span<const i64> send_counts, Tensor recv,
                                std::span<const i64> recv_counts, Stream stream, const char* label) {
  const Call call{Operation::all_to_all, label, send.dtype(), send_counts, recv_counts};
  check_call(send.dtype() == recv.dtype(), call, "{} into {}", longsight::name_of(send.dtype()),
             longsight::name_of(recv.dtype()));
  check_call(sum_of(send_counts) == send.elements() && sum_of(recv_counts) == recv.elements(), call,
             "counts of {} and {} elements for tensors of {} and {}", sum_of(send_counts),
             sum_of(recv_counts), send.elements(), recv.elements());
  all_to_all_v(send.data(), send_counts, recv.data(), recv_counts, send.dtype(), stream, label);
}

void ProcessGroup::all_gather_v(Tensor send, Tensor recv, std::span<const i64> counts, Stream stream,
                                const char* label) {
  const Call call{Operation::all_gather, label, send.dtype(), counts};
  check_counts(counts, call);
  check_call(send.dtype() == recv.dtype() && counts[static_cast<std::size_t>(rank_)] == send.elements() &&
                 sum_of(counts) == recv.elements(),
             call, "{} elements of {} and {} of {}, for counts of {} and {}", send.elements(),
             longsight::name_of(send.dtype()), recv.elements(), longsight::name_of(recv.dtype()),
             counts[static_cast<std::size_t>(rank_)], sum_of(counts));
  all_gather_v(send.data(), recv.data(), counts, send.dtype(), stream, label);
}

void ProcessGroup::reduce_scatter_v(Tensor send, Tensor recv, std::span<const i64> counts, Stream stream,
                                    const char* label) {
  const Call call{Operation::reduce_scatter, label, send.dtype(), counts};
  check_counts(counts, call);
  check_call(send.dtype() == recv.dtype() && counts[static_cast<std::size_t>(rank_)] == recv.elements() &&
                 sum_of(counts) == send.elements(),
             call, "{} elements of {} and {} of {}, for counts of {} and {}", send.elements(),
             longsight::name_of(send.dtype()), recv.elements(), longsight::name_of(recv.dtype()),
             sum_of(counts), counts[static_cast<std::size_t>(rank_)]);
  reduce_scatter_v(send.data(), recv.data(), counts, send.dtype(), stream, label);
}

void ProcessGroup::broadcast(Tensor data, int root, Stream stream, const char* label) {
  broadcast(data.data(), data.elements(), data.dtype(), root, stream, label);
}

void ProcessGroup::shift(Tensor send, Tensor recv, int offset, Stream stream, const char* label) {
  const Call call{Operation::shift, label, send.dtype()};
  check_call(send.dtype() == recv.dtype(), call, "{} into {}", longsight::name_of(send.dtype()),
             longsight::name_of(recv.dtype()));
  shift(send.data(), send.elements(), recv.data(), recv.elements(), offset, send.dtype(), stream, label);
}

}  // namespace longsight::parallel
