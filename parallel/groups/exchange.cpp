#include "parallel/groups/exchange.h"

namespace longsight::parallel {

void Exchange::run(Tensor send, Tensor recv, ProcessGroup& group, Stream stream) const {
  check(counts.ranks() == group.size(), "exchange \"{}\" of {} ranks in a group of {}", label, counts.ranks(),
        group.size());
  check(send.dtype() == recv.dtype(), "exchange \"{}\": {} into {}", label, name_of(send.dtype()),
        name_of(recv.dtype()));
  if (operation == Operation::all_to_all) {
    const i64 me = group.rank(), sent = counts.total_sent_by(me), received = counts.total_received_by(me);
    check(send.elements() == sent && recv.elements() == received,
          "exchange \"{}\": tensors of {} and {} elements, counts of {} and {}", label, send.elements(),
          recv.elements(), sent, received);
  }
  if (group.lists(*this, send.dtype(), stream)) return;
  const std::vector<i64> sent = counts.sent_by(group.rank()), received = counts.received_by(group.rank());
  if (operation == Operation::all_gather) {
    group.all_gather_v(send, recv, received, stream, label.c_str());
  } else if (operation == Operation::reduce_scatter) {
    group.reduce_scatter_v(send, recv, sent, stream, label.c_str());
  } else {
    group.all_to_all_v(send, sent, recv, received, stream, label.c_str());
  }
}

Exchange all_to_all(std::string label, Counts counts) {
  return {Operation::all_to_all, std::move(label), std::move(counts)};
}

Exchange all_gather(std::string label, std::vector<i64> elements) {
  const std::vector<i64> once(elements.size(), 1);
  return {Operation::all_gather, std::move(label), Counts::product(std::move(elements), once)};
}

Exchange reduce_scatter(std::string label, std::vector<i64> elements) {
  const std::vector<i64> once(elements.size(), 1);
  return {Operation::reduce_scatter, std::move(label), Counts::product(once, std::move(elements))};
}

Exchange all_gather(std::string label, i64 elements, i64 ranks) {
  return {Operation::all_gather, std::move(label), Counts::equal_shares(elements, ranks)};
}

Exchange reduce_scatter(std::string label, i64 elements, i64 ranks) {
  return {Operation::reduce_scatter, std::move(label), Counts::equal_shares(elements, ranks).transposed()};
}

}  // namespace longsight::parallel
