#include "parallel/groups/staged_group.h"

#include <algorithm>

namespace longsight::parallel {

// Pinned memory of what leaves and of what arrives. Work that is still queued keeps the pieces that it was
// queued with, so they stay until the group is gone; they grow by doubling.
class StagedGroup::Staging {
 public:
  explicit Staging(Device& device) : device_(device) {}
  std::byte* leaving(i64 bytes) { return room(leaving_, bytes); }
  std::byte* arriving(i64 bytes) { return room(arriving_, bytes); }

 private:
  std::byte* room(std::vector<PinnedMemory>& pieces, i64 bytes) {
    if (bytes == 0) return nullptr;
    const i64 there = pieces.empty() ? i64{64} << 10 : pieces.back().bytes();
    if (pieces.empty() || there < bytes)
      pieces.emplace_back(device_, std::max(bytes, pieces.empty() ? there : 2 * there));
    return pieces.back().data();
  }

  Device& device_;
  std::vector<PinnedMemory> leaving_, arriving_;
};

StagedGroup::StagedGroup(ProcessGroup& control, Device& device)
    : ProcessGroup(control.rank(), control.size(), control.label(), control.record()),
      control_(control),
      device_(device),
      moved_(control.split(0, control.rank(), control.label())),
      staging_(std::make_unique<Staging>(device)),
      queued_(device),
      moved_event_(device) {}

StagedGroup::StagedGroup(std::unique_ptr<ProcessGroup> control, Device& device)
    : StagedGroup(*control, device) {
  owned_control_ = std::move(control);
}

StagedGroup::~StagedGroup() = default;

std::unique_ptr<ProcessGroup> StagedGroup::split(int color, int key, std::string label) {
  return std::unique_ptr<ProcessGroup>(
      new StagedGroup(control_.split(color, key, std::move(label)), device_));
}

void StagedGroup::begin_work(Stream stream) {
  queued_.record(stream);
  queued_.wait(device_.communication());
}

void StagedGroup::end_work(Stream stream) {
  moved_event_.record(device_.communication());
  moved_event_.wait(stream);
}

void StagedGroup::do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType dtype,
                              const char* label, Stream stream) {
  const auto me = static_cast<std::size_t>(rank());
  const i64 width = size_of(dtype);
  std::vector<Outgoing> out(send.begin(), send.end());
  std::vector<Incoming> in(recv.begin(), recv.end());
  if (out[me].count > 0) device_.copy_within(in[me].data, out[me].data, out[me].count * width, stream);
  out[me] = {};
  in[me] = {};
  i64 leaves = 0, arrives = 0;
  for (const Outgoing& block : out) leaves += block.count * width;
  for (const Incoming& block : in) arrives += block.count * width;
  std::byte* const leaving = staging_->leaving(leaves);
  std::byte* const arriving = staging_->arriving(arrives);

  i64 at = 0;
  const void *copied = nullptr, *staged = nullptr;  // what goes to several ranks is copied once
  for (Outgoing& block : out) {
    if (block.count == 0) continue;
    if (block.data != copied) {
      copied = block.data;
      staged = leaving + at;
      device_.copy_to_host(leaving + at, copied, block.count * width, stream);
      at += block.count * width;
    }
    block.data = staged;
  }
  at = 0;
  for (Incoming& block : in) {
    if (block.count == 0) continue;
    block.data = arriving + at;
    at += block.count * width;
  }
  device_.queue_host_work(stream, "exchange",
                          [moved = moved_.get(), out, in, dtype, name = std::string(label)] {
                            moved->do_exchange(out, in, dtype, name.c_str(), {});
                          });
  for (std::size_t r = 0; r < in.size(); ++r) {
    if (in[r].count > 0) device_.copy_to_device(recv[r].data, in[r].data, in[r].count * width, stream);
  }
}

void StagedGroup::do_send_recv(Outgoing send, int to, Incoming recv, int from, DType dtype, const char* label,
                               Stream stream) {
  const i64 width = size_of(dtype);
  const Outgoing out{staging_->leaving(send.count * width), send.count};
  const Incoming in{staging_->arriving(recv.count * width), recv.count};
  device_.copy_to_host(const_cast<void*>(out.data), send.data, send.count * width, stream);
  device_.queue_host_work(stream, "transfer",
                          [moved = moved_.get(), out, to, in, from, dtype, name = std::string(label)] {
                            moved->do_send_recv(out, to, in, from, dtype, name.c_str(), {});
                          });
  device_.copy_to_device(recv.data, in.data, recv.count * width, stream);
}

void StagedGroup::do_broadcast(void* data, i64 bytes, int root, const char* label, Stream stream) {
  std::byte* const staged = staging_->leaving(bytes);
  if (rank() == root) device_.copy_to_host(staged, data, bytes, stream);
  device_.queue_host_work(stream, "broadcast",
                          [moved = moved_.get(), staged, bytes, root, name = std::string(label)] {
                            moved->do_broadcast(staged, bytes, root, name.c_str(), {});
                          });
  if (rank() != root) device_.copy_to_device(data, staged, bytes, stream);
}

void StagedGroup::do_gather(const void* value, void* all, i64 bytes, const char* label, Stream stream) {
  std::byte* const leaving = staging_->leaving(bytes);
  std::byte* const arriving = staging_->arriving(bytes * size());
  device_.copy_to_host(leaving, value, bytes, stream);
  device_.queue_host_work(stream, "gather",
                          [moved = moved_.get(), leaving, arriving, bytes, name = std::string(label)] {
                            moved->do_gather(leaving, arriving, bytes, name.c_str(), {});
                          });
  device_.copy_to_device(all, arriving, bytes * size(), stream);
}

void StagedGroup::do_barrier(const char* label, Stream stream) {
  device_.queue_host_work(stream, "barrier", [moved = moved_.get(), name = std::string(label)] {
    moved->do_barrier(name.c_str(), {});
  });
}

}  // namespace longsight::parallel
