// A rank of a group that exists only on paper: strategies can be made for it and asked what they would send,
// keep and compute. A call that would communicate throws.
#pragma once

#include "parallel/process_group.h"

namespace longsight::parallel {

class PaperGroup final : public ProcessGroup {
 public:
  PaperGroup(int rank, int ranks) : ProcessGroup(rank, ranks, "sequence") {}
  std::unique_ptr<ProcessGroup> split(int, int, std::string) override { nothing(); }

 private:
  [[noreturn]] static void nothing() { fail(ExitCode::internal, "a paper group cannot communicate"); }
  void do_exchange(std::span<const Outgoing>, std::span<const Incoming>, DType, const char*) override {
    nothing();
  }
  void do_send_recv(Outgoing, int, Incoming, int, DType, const char*) override { nothing(); }
  void do_broadcast(void*, i64, int, const char*) override { nothing(); }
  void do_gather(const void*, void*, i64, const char*) override { nothing(); }
  void do_barrier(const char*) override { nothing(); }
  void do_abort(int) override {}
};

}  // namespace longsight::parallel
