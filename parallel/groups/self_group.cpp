#include "parallel/groups/self_group.h"

namespace longsight::parallel {

std::unique_ptr<ProcessGroup> SelfGroup::split(int color, int, std::string label) {
  check(color >= 0, "color {} of group {}", color, label);
  return std::make_unique<SelfGroup>(std::move(label), record());
}

void SelfGroup::do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType dtype,
                            const char*, Stream) {
  if (send[0].count > 0 && send[0].data != recv[0].data) {
    std::memcpy(recv[0].data, send[0].data, static_cast<std::size_t>(send[0].count * size_of(dtype)));
  }
}

void SelfGroup::do_send_recv(Outgoing, int, Incoming, int, DType, const char* label, Stream) {
  check(false, "group {} has one rank: no peer for \"{}\"", this->label(), label);
}

void SelfGroup::do_gather(const void* value, void* all, i64 bytes, const char*, Stream) {
  std::memcpy(all, value, static_cast<std::size_t>(bytes));
}

}  // namespace longsight::parallel
