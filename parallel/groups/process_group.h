// A group of ranks and the collectives over it. Of the host: self (one rank, no MPI) and mpi, made in main
// and passed down; of a device: staged and nccl; trace, which lists what it is called for.
//
// A group of a device queues: a call runs on the device's communication stream, behind what has been queued
// on the caller's stream, and what is queued there afterwards runs behind the call.
//
// Every function except rank/size/label/counters/abort is a collective: all ranks of the group call it, in
// the same order, with arguments that fit together. Counts are elements, one per rank in rank order; the
// blocks of a buffer lie behind each other in rank order (displacements are the running sums of the counts);
// zero counts are legal everywhere. Buffers do not overlap unless said so. `label` names the call in messages
// and in the schedule.
//
// Sums are our own: x0 + x1 + x2 + ... in rank order, so all ranks have the same bits on every run (MPI
// leaves the order of its reductions open). f32, f64, i32 and i64 are reduced.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "runtime/ops/combine.h"
#include "runtime/tensor/tensor.h"

namespace longsight::parallel {

// What was moved since the last reset. Bytes count what leaves this rank for another one; a broadcast counts
// at its root.
struct CommunicationCounters {
  i64 bytes_sent = 0;
  i64 calls = 0;
  double seconds = 0;  // inside the calls, waiting for the peers included

  CommunicationCounters& operator+=(const CommunicationCounters& other);
};

enum class Operation {
  all_to_all,
  all_gather,
  reduce_scatter,
  all_reduce_sum,
  all_reduce_max,
  broadcast,
  shift,
  transfer,  // send on one rank, recv on another
  values,    // a few bytes from every rank to every rank
  barrier,
};
inline constexpr int kOperations = 10;
const char* name_of(Operation operation);

// One call as a rank makes it, for the schedule check.
struct Call {
  Operation operation = Operation::barrier;
  const char* label = "";
  DType dtype = DType::U8;
  std::span<const i64> sent = {};  // all_to_all: to each rank; gather, scatter: of each rank; else one count
  std::span<const i64> received = {};  // all_to_all: from each rank; shift, recv: one count
  int peer = -1;                       // broadcast: root; send: receiver; recv: sender; shift: offset

  i64 bytes() const;  // of the counts in `sent`
};

struct Exchange;
class FlightRecord;
enum class Phase : int;

inline constexpr const char* kWorldLabel = "world";  // the group of all ranks

// A block of memory that goes to, or comes from, one rank: elements. Null data with a count of 0 is legal.
struct Outgoing {
  const void* data = nullptr;
  i64 count = 0;
};
struct Incoming {
  void* data = nullptr;
  i64 count = 0;
};

class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  virtual MemoryPlace place() const { return {}; }     // of the memory that it moves
  Backend backend() const { return place().backend; }  // of that, and of streams
  // The same ranks for values of the host: this group itself, unless it is one of a device. What the
  // functions below do with single values and texts goes through it, and never waits for a stream.
  virtual ProcessGroup& control() { return *this; }
  int rank() const { return rank_; }
  int size() const { return size_; }
  const std::string& label() const { return state_->label; }  // "world", "sequence", "data"
  const CommunicationCounters& counters() const { return state_->counters; }
  void reset_counters() { state_->counters = {}; }
  // Of this rank's calls in all groups that come from one session; null: nobody keeps one.
  const std::shared_ptr<FlightRecord>& record() const { return state_->record; }
  void enter(Phase) const;  // what this rank does from now on, for its record

  // Block r of `send` goes to rank r; block r of `recv` comes from rank r.
  void all_to_all_v(const void* send, std::span<const i64> send_counts, void* recv,
                    std::span<const i64> recv_counts, DType, Stream, const char* label = "");
  // recv = the ranks' blocks, counts[r] elements from rank r. `send` may be this rank's block of recv
  // (nothing is copied).
  void all_gather_v(const void* send, void* recv, std::span<const i64> counts, DType, Stream,
                    const char* label = "");
  // send: one block per rank, counts[r] elements; recv (counts[rank()]) = sum over the ranks of their block
  // for this rank. `recv` may be this rank's block of send. Temporary memory: reduction_scratch_bytes.
  void reduce_scatter_v(const void* send, void* recv, std::span<const i64> counts, DType, Stream,
                        const char* label = "");
  // In place: `data` is root's everywhere.
  void broadcast(void* data, i64 count, DType, int root, Stream, const char* label = "");
  // Sends to rank() + offset and receives from rank() - offset, both modulo size(): a step around the ring.
  void shift(const void* send, i64 send_count, void* recv, i64 recv_count, int offset, DType, Stream,
             const char* label = "");
  // Not collective: only the two ranks call. send may wait until the peer receives.
  void send(const void* data, i64 count, DType, int to, Stream, const char* label = "");
  void recv(void* data, i64 count, DType, int from, Stream, const char* label = "");
  void barrier(Stream, const char* label = "");

  // The same with tensors, whose element counts must be exactly those of the blocks.
  void all_to_all_v(Tensor send, std::span<const i64> send_counts, Tensor recv,
                    std::span<const i64> recv_counts, Stream, const char* label = "");
  void all_gather_v(Tensor send, Tensor recv, std::span<const i64> counts, Stream, const char* label = "");
  void reduce_scatter_v(Tensor send, Tensor recv, std::span<const i64> counts, Stream,
                        const char* label = "");
  void broadcast(Tensor data, int root, Stream, const char* label = "");
  void shift(Tensor send, Tensor recv, int offset, Stream, const char* label = "");

  // In place; the same number of elements on every rank. A NaN on any rank makes the maximum NaN.
  void all_reduce_sum(Tensor data, Stream, const char* label = "");
  void all_reduce_max(Tensor data, Stream, const char* label = "");

  // One value per rank.
  double all_reduce_sum(double value, Stream, const char* label = "");
  i64 all_reduce_sum(i64 value, Stream, const char* label = "");
  double all_reduce_max(double value, Stream, const char* label = "");
  i64 all_reduce_max(i64 value, Stream, const char* label = "");

  // Element r is rank r's value.
  template <class T>
  std::vector<T> all_gather(const T& value, Stream stream, const char* label = "") {
    static_assert(std::is_trivially_copyable_v<T>);
    if (&control() != this) return control().all_gather(value, Stream{}, label);
    std::vector<T> all(static_cast<std::size_t>(size()));
    all_gather_bytes(&value, all.data(), sizeof(T), stream, label);
    return all;
  }
  // Any length, for reports.
  std::vector<std::string> all_gather(const std::string& text, Stream, const char* label = "");

  // A new group of the ranks that give the same color (>= 0), ordered by key, then by rank here.
  virtual std::unique_ptr<ProcessGroup> split(int color, int key, std::string label) = 0;

  // Ends the whole job, at once and from any one rank; does not return.
  [[noreturn]] void abort(int code);

  // "group sequence, rank 2 of 4: all_to_all "vision.0.qkv"", for messages.
  std::string describe(const Call& call) const;

  // Most temporary memory of a reduction, kept between calls.
  static constexpr i64 reduction_scratch_bytes = i64{8} << 20;

 protected:
  struct State {
    std::string label;
    CommunicationCounters counters;
    Storage scratch;  // of reductions
    std::shared_ptr<FlightRecord> record;
    i64 calls = 0;  // since it was made
  };
  ProcessGroup(int rank, int size, std::string label, std::shared_ptr<FlightRecord> record = {});
  // Shares label, counters, scratch and record with another group: a decorator.
  struct Wrapping {};
  ProcessGroup(Wrapping, const ProcessGroup& wrapped)
      : rank_(wrapped.rank_), size_(wrapped.size_), state_(wrapped.state_) {}

  // What a backend does, on its stream of work. Counts and ranks have been checked, bytes have been counted.
  // An exchange has one block per rank each way; this rank's own is copied unless both are the same memory.
  virtual void do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType,
                           const char* label, Stream) = 0;
  virtual void do_send_recv(Outgoing send, int to, Incoming recv, int from, DType, const char* label,
                            Stream) = 0;  // -1: none
  virtual void do_broadcast(void* data, i64 bytes, int root, const char* label, Stream) = 0;
  virtual void do_gather(const void* value, void* all, i64 bytes, const char* label, Stream) = 0;
  virtual void do_barrier(const char* label, Stream) = 0;
  virtual void do_abort(int code) = 0;

  // The stream that calls are queued on where they are made on `stream`; that its work waits for what is
  // queued there; and that what comes there waits for it.
  virtual Stream work_stream(Stream stream) { return stream; }
  virtual void begin_work(Stream) {}
  virtual void end_work(Stream) {}

  // Before a call is issued: the schedule check throws here. false: the call is not issued (a trace).
  virtual bool announce(const Call&, Stream) { return true; }
  // The same for an exchange that is known as a whole. true: it is listed, and nothing moves.
  virtual bool lists(const Exchange&, DType, Stream) { return false; }

 private:
  friend class ScheduledGroup;  // a decorator: uses the backend of the group that it wraps
  friend class StagedGroup;     // likewise, of the group that it moves memory of the host with
  friend struct Exchange;
  class Running;

  template <class... A>
  void check_call(bool ok, const Call&, fmt::format_string<A...> text, A&&... values) const;
  void check_counts(std::span<const i64> counts, const Call&) const;
  void exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType, const char* label,
                Running&);
  void send_recv(Outgoing send, int to, Incoming recv, int from, DType, const char* label, Running&);
  void gather(const void* value, void* all, i64 bytes, const char* label, Running&);
  void all_gather_bytes(const void* value, void* all, std::size_t bytes, Stream, const char* label);
  void all_reduce(Tensor data, ops::Combination, Stream, const Call&);
  i64 reduction_piece(DType) const;
  void* scratch(i64 bytes);  // until the next call
  void reduce_blocks(std::span<const Outgoing> blocks, void* result, DType, ops::Combination, Running&,
                     const char* label);

  int rank_ = 0;
  int size_ = 1;
  std::shared_ptr<State> state_;
};

}  // namespace longsight::parallel
