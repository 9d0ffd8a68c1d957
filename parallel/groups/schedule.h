// The list of collectives that a group is going to issue, derived by every rank from the plan and the layout.
// Each two ranks compare what concerns them before the first of them runs, and the groups then execute
// against it: ranks that disagree get an error that names the call, not a hang.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "parallel/groups/exchange.h"

namespace longsight::parallel {

struct ScheduleEntry {
  Operation operation = Operation::barrier;
  std::string label = {};
  std::string group = {};  // label of the group it runs in
  DType dtype = DType::U8;
  Counts counts = {};  // all_to_all, all_gather, reduce_scatter, shift: elements, from rank to rank
  i64 count = 0;       // all_reduce, broadcast, transfer: elements; values: bytes
  int peer = -1;       // broadcast: root; shift: offset; transfer: sender
  int to = -1;         // transfer: receiver

  std::string name() const;  // all_to_all "vision.0.qkv" sequence f32
  std::string text() const;  // all_to_all "vision.0.qkv" sequence f32 [[0, 5], [3, 0]]
};

class Schedule {
 public:
  void add(ScheduleEntry entry) { entries_.push_back(std::move(entry)); }
  void add(const std::string& group, DType dtype, const Exchange& exchange);
  void add(const std::string& group, DType dtype, const std::vector<Exchange>& exchanges);
  void add_all_reduce_sum(std::string group, std::string label, DType dtype, i64 count);

  const std::vector<ScheduleEntry>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  i64 size() const { return static_cast<i64>(entries_.size()); }
  std::string text() const;  // one line per entry, numbered from 0

 private:
  std::vector<ScheduleEntry> entries_;
};

// What `rank` of `ranks` says to each rank of the group, or expects from each: a hash of all entries in
// order, each with the elements that go from the one to the other. Two ranks whose hashes fit issue the same
// calls, with the same counts between them.
enum class Side { says, expects };
std::vector<u64> pair_hashes(const Schedule&, Side, i64 rank, i64 ranks);

// Collective over `group`: throws internal on every rank unless each two ranks fit together, naming the first
// entry that does not and who has which version of it. Time and memory of the ranks, not of their pairs. A
// rank of a trace has nobody to agree with.
void agree(const Schedule& schedule, ProcessGroup& group, Stream stream);

// Where a rank stands in its schedule; shared by the groups that execute it.
class ScheduleCursor {
 public:
  explicit ScheduleCursor(Schedule schedule = {}) : schedule_(std::move(schedule)) {}

  // From here on this list, from its beginning. Throws where the one before it was not executed to its end.
  void follow(Schedule schedule);

  // Throws unless every entry that concerns this rank was executed.
  void finish();

 private:
  friend class ScheduledGroup;
  void join(const ProcessGroup& group);
  void expect(const Call& call, const ProcessGroup& group);
  const ScheduleEntry* next();  // null: the list has ended

  Schedule schedule_;
  std::size_t position_ = 0;
  std::map<std::string, int> rank_in_;  // of this rank, by group label
};

// Executes against a schedule: a call that is not the next entry (group, operation, label unless the call has
// none, dtype, this rank's counts) throws before it is issued. Borrows the group and the cursor; counters are
// the group's.
class ScheduledGroup final : public ProcessGroup {
 public:
  ScheduledGroup(ProcessGroup& group, ScheduleCursor& cursor);

  std::unique_ptr<ProcessGroup> split(int color, int key,
                                      std::string label) override;  // throws: no schedule knows it
  MemoryPlace place() const override { return group_.place(); }
  ProcessGroup& control() override { return &group_.control() == &group_ ? *this : group_.control(); }

 private:
  bool announce(const Call& call, Stream stream) override {
    cursor_.expect(call, *this);
    return group_.announce(call, stream);
  }
  bool lists(const Exchange& exchange, DType, Stream) override;
  void do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType, const char* label,
                   Stream) override;
  void do_send_recv(Outgoing send, int to, Incoming recv, int from, DType, const char* label,
                    Stream) override;
  void do_broadcast(void* data, i64 bytes, int root, const char* label, Stream) override;
  void do_gather(const void* value, void* all, i64 bytes, const char* label, Stream) override;
  void do_barrier(const char* label, Stream) override;
  void do_abort(int code) override;
  Stream work_stream(Stream stream) override { return group_.work_stream(stream); }
  void begin_work(Stream stream) override { group_.begin_work(stream); }
  void end_work(Stream stream) override { group_.end_work(stream); }

  ProcessGroup& group_;
  ScheduleCursor& cursor_;
};

// What distinguishes a call of `rank` (of `ranks`) from an entry; nothing if the call is the entry.
std::optional<std::string> difference(const ScheduleEntry& entry, const Call& call, int rank, int ranks);

}  // namespace longsight::parallel
