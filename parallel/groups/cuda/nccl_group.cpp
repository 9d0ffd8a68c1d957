// A group of ranks over NCCL, each with a GPU to itself. An exchange is one group of sends and receives of
// bytes; sums are the caller's own, over received pieces in rank order, so that their bits do not depend on
// NCCL's algorithm. While the host waits for the device, errors of the communicator are looked for: one ends
// the communicator, and the wait with an error.
#include <exception>

#include "parallel/groups/cuda/nccl_library.h"
#include "parallel/groups/device_group.h"
#include "parallel/groups/peer_calls.h"

namespace longsight::parallel {
namespace {

class NcclGroup final : public ProcessGroup {
 public:
  NcclGroup(std::unique_ptr<ProcessGroup> owned_control, ProcessGroup& control, Device& device,
            ncclComm_t communicator)
      : ProcessGroup(control.rank(), control.size(), control.label(), control.record()),
        owned_control_(std::move(owned_control)),
        control_(control),
        device_(device),
        communicator_(communicator),
        queued_(device),
        done_(device),
        watch_(device.watch([this] { look(); })) {}

  ~NcclGroup() override {
    device_.unwatch(watch_);
    if (communicator_ == nullptr) return;
    // With an exception on its way the peers are elsewhere: whatever they have not answered is given up.
    if (std::uncaught_exceptions() > 0) {
      nccl().comm_abort(communicator_);
    } else {
      nccl().comm_destroy(communicator_);
    }
  }

  MemoryPlace place() const override { return device_; }
  ProcessGroup& control() override { return control_; }

  std::unique_ptr<ProcessGroup> split(int color, int key, std::string label) override {
    check(color >= 0, "color {} of group {}", color, label);
    std::unique_ptr<ProcessGroup> part = control_.split(color, key, std::move(label));
    device_.make_current();
    ncclComm_t communicator = nullptr;
    checked(nccl().comm_split(communicator_, color, key, &communicator, nullptr), "ncclCommSplit", "");
    ProcessGroup& of_part = *part;
    return std::make_unique<NcclGroup>(std::move(part), of_part, device_, communicator);
  }

 private:
  static cudaStream_t native(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }

  void checked(ncclResult_t status, const char* function, const char* call) const {
    if (status == ncclSuccess) return;
    fail(ExitCode::internal, "group {}, rank {} of {}: \"{}\": {}: {}: {}", label(), rank(), size(), call,
         function, nccl().error_string(status), nccl().last_error(communicator_));
  }

  void look() {
    if (communicator_ == nullptr) return;
    ncclResult_t status = ncclSuccess;
    if (nccl().comm_get_async_error(communicator_, &status) == ncclSuccess &&
        (status == ncclSuccess || status == ncclInProgress))
      return;
    const std::string said = nccl().last_error(communicator_);
    nccl().comm_abort(communicator_);
    communicator_ = nullptr;
    fail(ExitCode::internal, "group {}, rank {} of {}: NCCL: {}: {}", label(), rank(), size(),
         nccl().error_string(status), said);
  }

  void run(std::span<const PeerCall> calls, const char* label, Stream stream) {
    device_.make_current();
    for (const PeerCall& call : calls) {
      if (call.kind == PeerCall::Kind::copy) device_.copy_within(call.to, call.from, call.bytes, stream);
    }
    checked(nccl().group_start(), "ncclGroupStart", label);
    for (const PeerCall& call : calls) {
      const auto bytes = static_cast<std::size_t>(call.bytes);
      if (call.kind == PeerCall::Kind::send)
        checked(nccl().send(call.from, bytes, ncclInt8, call.peer, communicator_, native(stream)), "ncclSend",
                label);
      if (call.kind == PeerCall::Kind::receive)
        checked(nccl().recv(call.to, bytes, ncclInt8, call.peer, communicator_, native(stream)), "ncclRecv",
                label);
    }
    checked(nccl().group_end(), "ncclGroupEnd", label);
  }

  void do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType dtype,
                   const char* label, Stream stream) override {
    run(peer_calls(send, recv, size_of(dtype), rank()), label, stream);
  }

  void do_send_recv(Outgoing send, int to, Incoming recv, int from, DType dtype, const char* label,
                    Stream stream) override {
    std::vector<PeerCall> calls;
    const i64 width = size_of(dtype);
    if (send.count > 0) calls.push_back({PeerCall::Kind::send, to, send.data, nullptr, send.count * width});
    if (recv.count > 0)
      calls.push_back({PeerCall::Kind::receive, from, nullptr, recv.data, recv.count * width});
    run(calls, label, stream);
  }

  void do_broadcast(void* data, i64 bytes, int root, const char* label, Stream stream) override {
    device_.make_current();
    checked(nccl().broadcast(data, data, static_cast<std::size_t>(bytes), ncclInt8, root, communicator_,
                             native(stream)),
            "ncclBroadcast", label);
  }

  void do_gather(const void* value, void* all, i64 bytes, const char* label, Stream stream) override {
    device_.make_current();
    checked(nccl().all_gather(value, all, static_cast<std::size_t>(bytes), ncclInt8, communicator_,
                              native(stream)),
            "ncclAllGather", label);
  }

  void do_barrier(const char* label, Stream stream) override {
    device_.synchronize(stream);
    control_.barrier({}, label);
  }

  // Of the job, by the host's group.
  void do_abort(int code) override {
    if (communicator_ != nullptr) nccl().comm_abort(communicator_);
    control_.abort(code);
  }

  Stream work_stream(Stream) override { return device_.communication(); }
  void begin_work(Stream stream) override {
    queued_.record(stream);
    queued_.wait(device_.communication());
  }
  void end_work(Stream stream) override {
    done_.record(device_.communication());
    done_.wait(stream);
  }

  std::unique_ptr<ProcessGroup> owned_control_;
  ProcessGroup& control_;
  Device& device_;
  ncclComm_t communicator_;
  Event queued_, done_;
  i64 watch_;
};

}  // namespace

std::unique_ptr<ProcessGroup> make_nccl_group(ProcessGroup& control, Device& device) {
  check(device.backend() == Backend::cuda, "a group of NCCL over {}", device.name());
  device.make_current();
  ncclUniqueId id{};
  const auto checked = [&](ncclResult_t status, const char* function) {
    require(status == ncclSuccess, ExitCode::internal, "group {}, rank {} of {}: {}: {}: {}", control.label(),
            control.rank(), control.size(), function, nccl().error_string(status),
            nccl().last_error(nullptr));
  };
  if (control.rank() == 0) checked(nccl().get_unique_id(&id), "ncclGetUniqueId");
  control.broadcast(&id, static_cast<i64>(sizeof id), DType::U8, 0, {}, "NCCL's id");
  ncclComm_t communicator = nullptr;
  checked(nccl().comm_init_rank(&communicator, control.size(), id, control.rank()), "ncclCommInitRank");
  return std::make_unique<NcclGroup>(nullptr, control, device, communicator);
}

}  // namespace longsight::parallel
