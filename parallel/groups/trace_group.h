// A rank of a group that exists in a trace only: nothing moves, every call is listed, with the part of the
// program that made it. What comes out is the schedule of the program that ran on it. Groups of one program
// keep one list.
#pragma once

#include "parallel/groups/schedule.h"
#include "runtime/device/trace.h"

namespace longsight::parallel {

class TraceGroup final : public ProcessGroup {
 public:
  TraceGroup(int rank, int ranks, std::string label)
      : ProcessGroup(rank, ranks, std::move(label)), list_(std::make_shared<List>()) {}
  TraceGroup(int rank, int ranks, std::string label, const TraceGroup& beside)
      : ProcessGroup(rank, ranks, std::move(label)), list_(beside.list_) {}

  MemoryPlace place() const override { return Backend::trace; }
  const Schedule& schedule() const { return list_->schedule; }
  Schedule take_schedule() { return std::move(list_->schedule); }
  // Of each entry.
  const std::vector<ProgramPlace>& places() const { return list_->places; }

  std::unique_ptr<ProcessGroup> split(int color, int key, std::string label) override;

 private:
  bool announce(const Call&, Stream) override;
  bool lists(const Exchange&, DType, Stream) override;

  [[noreturn]] static void nothing();
  void do_exchange(std::span<const Outgoing>, std::span<const Incoming>, DType, const char*,
                   Stream) override {
    nothing();
  }
  void do_send_recv(Outgoing, int, Incoming, int, DType, const char*, Stream) override { nothing(); }
  void do_broadcast(void*, i64, int, const char*, Stream) override { nothing(); }
  void do_gather(const void*, void*, i64, const char*, Stream) override { nothing(); }
  void do_barrier(const char*, Stream) override { nothing(); }
  void do_abort(int) override {}

  struct List {
    Schedule schedule;
    std::vector<ProgramPlace> places;
  };
  std::shared_ptr<List> list_;
};

}  // namespace longsight::parallel
