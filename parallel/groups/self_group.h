// The group of one rank: no MPI, every exchange is a copy.
#pragma once

#include "parallel/groups/process_group.h"

namespace longsight::parallel {

class SelfGroup final : public ProcessGroup {
 public:
  explicit SelfGroup(std::string label = kWorldLabel, std::shared_ptr<FlightRecord> record = {})
      : ProcessGroup(0, 1, std::move(label), std::move(record)) {}

  std::unique_ptr<ProcessGroup> split(int color, int key, std::string label) override;

 private:
  void do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType, const char* label,
                   Stream) override;
  void do_send_recv(Outgoing send, int to, Incoming recv, int from, DType, const char* label,
                    Stream) override;
  void do_broadcast(void*, i64, int, const char*, Stream) override {}
  void do_gather(const void* value, void* all, i64 bytes, const char* label, Stream) override;
  void do_barrier(const char*, Stream) override {}
  void do_abort(int) override {}  // the process ends behind it
};

}  // namespace longsight::parallel
