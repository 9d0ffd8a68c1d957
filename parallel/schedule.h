// The list of collectives that a group is going to issue, derived by every rank from the plan and the layout.
// It is compared over the group before the first of them runs, and the groups then execute against it: ranks
// that disagree get an error that names the call, not a hang.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/count_matrix.h"
#include "parallel/process_group.h"

namespace longsight::parallel {

// Immutable, cheap to copy: the same table serves every layer of a tower.
class CountTable {
 public:
  CountTable() : CountTable(std::vector<i64>{}) {}
  CountTable(std::vector<i64> counts);  // NOLINT: implicit, a table is its counts

  const std::vector<i64>& all() const { return *counts_; }
  u64 fingerprint() const { return fingerprint_; }
  friend bool operator==(const CountTable& a, const CountTable& b) { return *a.counts_ == *b.counts_; }

 private:
  std::shared_ptr<const std::vector<i64>> counts_;
  u64 fingerprint_;
};

struct ScheduleEntry {
  Operation operation = Operation::barrier;
  std::string label;
  std::string group;  // label of the group it runs in
  DType dtype = DType::U8;
  // all_to_all: n x n elements, row by row [from, to]. all_gather, reduce_scatter: n, of each rank. shift: n,
  // sent by each rank. all_reduce, broadcast, transfer: one. values: bytes. barrier: none.
  CountTable counts;
  int peer = -1;  // broadcast: root; shift: offset; transfer: sender
  int to = -1;    // transfer: receiver

  std::string text() const;  // all_to_all "vision.0.qkv" sequence f32 [[0, 5], [3, 0]]
  friend bool operator==(const ScheduleEntry&, const ScheduleEntry&) = default;
};

class Schedule {
 public:
  void add(ScheduleEntry entry) { entries_.push_back(std::move(entry)); }
  void add_all_to_all(std::string group, std::string label, DType dtype, const CountMatrix& counts);
  void add_all_to_all(std::string group, std::string label, DType dtype, CountTable n_by_n);
  void add_all_gather(std::string group, std::string label, DType dtype, CountTable per_rank);
  void add_reduce_scatter(std::string group, std::string label, DType dtype, CountTable per_rank);
  void add_all_reduce_sum(std::string group, std::string label, DType dtype, i64 count);
  void append(const Schedule& other);

  const std::vector<ScheduleEntry>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  i64 size() const { return static_cast<i64>(entries_.size()); }
  std::string text() const;  // one line per entry, numbered from 0

  using Fingerprint = std::array<u64, 2>;  // XXH3-128 over all entries in order
  Fingerprint fingerprint() const;

 private:
  std::vector<ScheduleEntry> entries_;
};

// Collective over `group`: throws internal on every rank unless all have the same schedule, naming the first
// entry that differs and who has which version of it.
void agree(const Schedule& schedule, ProcessGroup& group, Stream stream);

// Where a rank stands in its schedule; shared by the groups that execute it.
class ScheduleCursor {
 public:
  explicit ScheduleCursor(Schedule schedule) : schedule_(std::move(schedule)) {}

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

 private:
  void announce(const Call& call) override { cursor_.expect(call, *this); }
  void do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType,
                   const char* label) override;
  void do_send_recv(Outgoing send, int to, Incoming recv, int from, DType, const char* label) override;
  void do_broadcast(void* data, i64 bytes, int root, const char* label) override;
  void do_gather(const void* value, void* all, i64 bytes, const char* label) override;
  void do_barrier(const char* label) override;
  void do_abort(int code) override;

  ProcessGroup& group_;
  ScheduleCursor& cursor_;
};

// What distinguishes a call of `rank` (of `ranks`) from an entry; nothing if the call is the entry.
std::optional<std::string> difference(const ScheduleEntry& entry, const Call& call, int rank, int ranks);

}  // namespace longsight::parallel
