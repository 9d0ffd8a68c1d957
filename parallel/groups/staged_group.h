// A group of ranks over the memory of devices, moved through pinned memory of the host by a group of the host
// (MPI). Slower than NCCL, which refuses two ranks on one GPU: here several may share one.
//
// Sums are computed on the device, in rank order, so all have the bits of the host's group.
#pragma once

#include "parallel/groups/process_group.h"

namespace longsight::parallel {

class StagedGroup final : public ProcessGroup {
 public:
  // Collective over `control`, which is borrowed, as the device is; both outlive the group.
  StagedGroup(ProcessGroup& control, Device& device);
  ~StagedGroup() override;

  MemoryPlace place() const override { return device_; }
  ProcessGroup& control() override { return control_; }
  std::unique_ptr<ProcessGroup> split(int color, int key, std::string label) override;

 private:
  class Staging;

  StagedGroup(std::unique_ptr<ProcessGroup> control, Device& device);

  void do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType, const char* label,
                   Stream) override;
  void do_send_recv(Outgoing send, int to, Incoming recv, int from, DType, const char* label,
                    Stream) override;
  void do_broadcast(void* data, i64 bytes, int root, const char* label, Stream) override;
  void do_gather(const void* value, void* all, i64 bytes, const char* label, Stream) override;
  void do_barrier(const char* label, Stream) override;
  void do_abort(int code) override { control_.do_abort(code); }

  Stream work_stream(Stream) override { return device_.communication(); }
  void begin_work(Stream) override;
  void end_work(Stream) override;

  std::unique_ptr<ProcessGroup> owned_control_;
  ProcessGroup& control_;
  Device& device_;
  // The ranks once more, for what moves: it may move later than values that `control` moves.
  std::unique_ptr<ProcessGroup> moved_;
  std::unique_ptr<Staging> staging_;
  Event queued_, moved_event_;
};

}  // namespace longsight::parallel
