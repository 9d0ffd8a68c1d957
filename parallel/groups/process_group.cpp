#include "parallel/groups/process_group.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "parallel/groups/flight_record.h"
#include "runtime/base/clock.h"

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

void copy_block(void* to, const void* from, i64 bytes, Stream stream) {
  if (stream.device != nullptr) return stream.device->copy_within(to, from, bytes, stream);
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

i64 sum_of(std::span<const i64> counts) {
  return std::accumulate(counts.begin(), counts.end(), i64{0});
}

void check_reducible(DType dtype) {
  check(ops::combines(dtype), "{} is not reduced over ranks", name_of(dtype));
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

i64 Call::bytes() const {
  return sum_of(sent) * size_of(dtype);
}

template <class... A>
void ProcessGroup::check_call(bool ok, const Call& call, fmt::format_string<A...> text, A&&... values) const {
  if (!ok) fail(ExitCode::internal, "{}: {}", describe(call), fmt::format(text, std::forward<A>(values)...));
}

// A call on its way: announced before it is issued, then in the flight record, counted and timed when it
// ends.
class ProcessGroup::Running {
 public:
  Running(ProcessGroup& group, Stream stream, const Call& call) : group_(group), stream_(stream) {
    group.check_call(stream.backend == group.backend(), call, "a group of {} got a stream of {}",
                     longsight::name_of(group.backend()), longsight::name_of(stream.backend));
    issued_ = group.announce(call, stream);
    start_ = steady_seconds();
    State& state = *group_.state_;
    if (state.record) state.record->begin(call, state.label, ++state.calls, start_);
  }
  ~Running() {
    if (begun_) {
      try {
        group_.end_work(stream_);
      } catch (const Error&) {  // a device that has failed says so to whoever waits for it
      }
    }
    const double end = steady_seconds();
    CommunicationCounters& counters = group_.state_->counters;
    ++counters.calls;
    counters.seconds += end - start_;
    if (group_.record()) group_.record()->end(end);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  bool issued() const { return issued_; }  // false: of a trace, there is nothing to do
  // Where the call queues its work. What touches no memory of the caller waits for nothing.
  Stream stream(bool touches_memory = true) {
    if (touches_memory && !begun_) {
      group_.begin_work(stream_);
      begun_ = true;
    }
    return group_.work_stream(stream_);
  }

 private:
  ProcessGroup& group_;
  Stream stream_;
  bool begun_ = false;
  bool issued_ = false;
  double start_ = 0;
};

ProcessGroup::ProcessGroup(int rank, int size, std::string label, std::shared_ptr<FlightRecord> record)
    : rank_(rank), size_(size), state_(std::make_shared<State>()) {
  state_->label = std::move(label);
  state_->record = std::move(record);
}

void ProcessGroup::enter(Phase phase) const {
  if (record()) record()->enter(phase);
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
                            const char* label, Running& running) {
  bool moves = false;
  for (std::size_t r = 0; r < send.size(); ++r) {
    const bool own = static_cast<int>(r) == rank_;
    if (!own) state_->counters.bytes_sent += send[r].count * size_of(dtype);
    moves = moves || ((send[r].count > 0 || recv[r].count > 0) && !(own && send[r].data == recv[r].data));
  }
  do_exchange(send, recv, dtype, label, running.stream(moves));
}

void ProcessGroup::send_recv(Outgoing send, int to, Incoming recv, int from, DType dtype, const char* label,
                             Running& running) {
  if (to >= 0) state_->counters.bytes_sent += send.count * size_of(dtype);
  do_send_recv(send, to, recv, from, dtype, label, running.stream(send.count > 0 || recv.count > 0));
}

void ProcessGroup::gather(const void* value, void* all, i64 bytes, const char* label, Running& running) {
  state_->counters.bytes_sent += bytes * (size_ - 1);
  do_gather(value, all, bytes, label, running.stream());
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
  Running running(*this, stream, call);
  if (!running.issued()) return;
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
  exchange(out, in, dtype, label, running);
}

void ProcessGroup::all_gather_v(const void* send, void* recv, std::span<const i64> counts, DType dtype,
                                Stream stream, const char* label) {
  const Call call{Operation::all_gather, label, dtype, counts};
  check_counts(counts, call);
  Running running(*this, stream, call);
  if (!running.issued()) return;
  const std::vector<Outgoing> out(counts.size(), {send, counts[static_cast<std::size_t>(rank_)]});
  std::vector<Incoming> in;
  i64 received = 0;
  for (i64 count : counts) {
    in.push_back({at(recv, received, dtype), count});
    received += count;
  }
  exchange(out, in, dtype, label, running);
}

// Elements per rank of one round of a reduction.
i64 ProcessGroup::reduction_piece(DType dtype) const {
  return std::max(i64{1}, reduction_scratch_bytes / size_of(dtype) / std::max(1, size_ - 1));
}

void* ProcessGroup::scratch(i64 bytes) {
  Storage& kept = state_->scratch;
  if (kept.bytes() < bytes) kept = Storage(bytes, "reduction scratch", place());
  return kept.tensor(DType::U8, {kept.bytes()}).data();
}

// result = this rank's block, combined over all ranks. blocks[r] is what this rank holds of rank r's block; a
// block has at most reduction_piece elements. `result` may be blocks[rank()].
void ProcessGroup::reduce_blocks(std::span<const Outgoing> blocks, void* result, DType dtype,
                                 ops::Combination reduction, Running& running, const char* label) {
  const std::size_t me = static_cast<std::size_t>(rank_);
  const i64 count = blocks[me].count;
  const i64 needed = reduction_piece(dtype) * (size_ - 1) * size_of(dtype);
  void* const memory = scratch(needed);

  std::vector<Outgoing> out(blocks.begin(), blocks.end());
  out[me] = {};
  std::vector<Incoming> in(blocks.size());
  for (std::size_t r = 0, slot = 0; r < in.size(); ++r) {
    if (r != me) in[r] = {at(memory, static_cast<i64>(slot++) * count, dtype), count};
  }
  exchange(out, in, dtype, label, running);
  if (count == 0) return;
  std::vector<Tensor> terms;
  for (std::size_t r = 0; r < in.size(); ++r)
    terms.push_back({r == me ? const_cast<void*>(blocks[r].data) : in[r].data, dtype, {count}, backend()});
  ops::combine({result, dtype, {count}, backend()}, terms, reduction, running.stream());
}

void ProcessGroup::reduce_scatter_v(const void* send, void* recv, std::span<const i64> counts, DType dtype,
                                    Stream stream, const char* label) {
  const Call call{Operation::reduce_scatter, label, dtype, counts};
  check_counts(counts, call);
  check_reducible(dtype);
  Running running(*this, stream, call);
  if (!running.issued()) return;
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
    reduce_blocks(blocks, mine ? at(recv, done, dtype) : nullptr, dtype, ops::Combination::sum, running,
                  label);
  }
}

void ProcessGroup::all_reduce(Tensor data, ops::Combination reduction, Stream stream, const Call& call) {
  const DType dtype = data.dtype();
  check_reducible(dtype);
  Running running(*this, stream, call);
  if (!running.issued()) return;
  const std::size_t ranks = static_cast<std::size_t>(size_);
  const std::size_t me = static_cast<std::size_t>(rank_);
  if (size_ == 1 || data.elements() == 0) return;

  if (data.bytes() * size_ <= kSmallReductionBytes) {
    void* const all = scratch(data.bytes() * size_);
    gather(data.data(), all, data.bytes(), call.label, running);
    std::vector<Tensor> terms;
    for (i64 r = 0; r < size_; ++r)
      terms.push_back({at(all, r * data.elements(), dtype), dtype, {data.elements()}, backend()});
    ops::combine(data, terms, reduction, running.stream());
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
    reduce_blocks(slices, results[me].data, dtype, reduction, running, call.label);
    const std::vector<Outgoing> mine(ranks, {results[me].data, results[me].count});
    exchange(mine, results, dtype, call.label, running);
  }
}

void ProcessGroup::all_reduce_sum(Tensor data, Stream stream, const char* label) {
  const i64 count = data.elements();
  all_reduce(data, ops::Combination::sum, stream,
             {Operation::all_reduce_sum, label, data.dtype(), {&count, 1}});
}

void ProcessGroup::all_reduce_max(Tensor data, Stream stream, const char* label) {
  const i64 count = data.elements();
  all_reduce(data, ops::Combination::max, stream,
             {Operation::all_reduce_max, label, data.dtype(), {&count, 1}});
}

double ProcessGroup::all_reduce_sum(double value, Stream stream, const char* label) {
  if (&control() != this) return control().all_reduce_sum(value, {}, label);
  all_reduce_sum(Tensor(&value, DType::F64, {1}), stream, label);
  return value;
}
i64 ProcessGroup::all_reduce_sum(i64 value, Stream stream, const char* label) {
  if (&control() != this) return control().all_reduce_sum(value, {}, label);
  all_reduce_sum(Tensor(&value, DType::I64, {1}), stream, label);
  return value;
}
double ProcessGroup::all_reduce_max(double value, Stream stream, const char* label) {
  if (&control() != this) return control().all_reduce_max(value, {}, label);
  all_reduce_max(Tensor(&value, DType::F64, {1}), stream, label);
  return value;
}
i64 ProcessGroup::all_reduce_max(i64 value, Stream stream, const char* label) {
  if (&control() != this) return control().all_reduce_max(value, {}, label);
  all_reduce_max(Tensor(&value, DType::I64, {1}), stream, label);
  return value;
}

void ProcessGroup::broadcast(void* data, i64 count, DType dtype, int root, Stream stream, const char* label) {
  const Call call{Operation::broadcast, label, dtype, {&count, 1}, {}, root};
  check_call(root >= 0 && root < size_ && count >= 0, call, "root {}, {} elements", root, count);
  Running running(*this, stream, call);
  if (!running.issued()) return;
  const i64 bytes = checked_mul(count, size_of(dtype));
  if (rank_ == root) state_->counters.bytes_sent += bytes * (size_ - 1);
  if (size_ > 1 && bytes > 0) do_broadcast(data, bytes, root, label, running.stream());
}

void ProcessGroup::shift(const void* send, i64 send_count, void* recv, i64 recv_count, int offset,
                         DType dtype, Stream stream, const char* label) {
  const Call call{Operation::shift, label, dtype, {&send_count, 1}, {&recv_count, 1}, offset};
  check_call(send_count >= 0 && recv_count >= 0, call, "counts {}, {}", send_count, recv_count);
  const int step = (offset % size_ + size_) % size_;
  check_call(step != 0 || send_count == recv_count, call, "sends {} elements to itself but expects {}",
             send_count, recv_count);
  Running running(*this, stream, call);
  if (!running.issued()) return;
  if (step == 0) {
    if (send_count > 0 && send != recv) copy_block(recv, send, send_count * size_of(dtype), running.stream());
    return;
  }
  send_recv({send, send_count}, (rank_ + step) % size_, {recv, recv_count}, (rank_ - step + size_) % size_,
            dtype, label, running);
}

void ProcessGroup::send(const void* data, i64 count, DType dtype, int to, Stream stream, const char* label) {
  const Call call{Operation::transfer, label, dtype, {&count, 1}, {}, to};
  check_call(to >= 0 && to < size_ && to != rank_ && count >= 0, call, "to rank {}, {} elements", to, count);
  Running running(*this, stream, call);
  if (!running.issued()) return;
  send_recv({data, count}, to, {}, -1, dtype, label, running);
}

void ProcessGroup::recv(void* data, i64 count, DType dtype, int from, Stream stream, const char* label) {
  const Call call{Operation::transfer, label, dtype, {}, {&count, 1}, from};
  check_call(from >= 0 && from < size_ && from != rank_ && count >= 0, call, "from rank {}, {} elements",
             from, count);
  Running running(*this, stream, call);
  if (!running.issued()) return;
  send_recv({}, -1, {data, count}, from, dtype, label, running);
}

void ProcessGroup::barrier(Stream stream, const char* label) {
  Running running(*this, stream, {Operation::barrier, label});
  if (!running.issued()) return;
  if (size_ > 1) do_barrier(label, running.stream());
}

void ProcessGroup::all_gather_bytes(const void* value, void* all, std::size_t bytes, Stream stream,
                                    const char* label) {
  const i64 count = narrow<i64>(bytes);
  Running running(*this, stream, {Operation::values, label, DType::U8, {&count, 1}});
  check(running.issued(), "values of other ranks are read within a trace: \"{}\"", label);
  gather(value, all, count, label, running);
}

std::vector<std::string> ProcessGroup::all_gather(const std::string& text, Stream stream, const char* label) {
  if (&control() != this) return control().all_gather(text, Stream{}, label);
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
