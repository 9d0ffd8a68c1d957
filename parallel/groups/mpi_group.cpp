#include "parallel/groups/mpi_group.h"

#include <array>
#include <exception>

#include "parallel/groups/self_group.h"
#include "parallel/groups/waiter.h"

namespace longsight::parallel {
namespace {

constexpr int kTag = 1;

MPI_Datatype mpi_type(DType dtype) {
  switch (size_of(dtype)) {
    case 1:
      return MPI_UINT8_T;
    case 2:
      return MPI_UINT16_T;
    case 4:
      return MPI_UINT32_T;
    case 8:
      return MPI_UINT64_T;
    default:
      fail(ExitCode::internal, "no MPI type for {}", name_of(dtype));
  }
}

}  // namespace

std::string mpi_error_text(int status) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  if (MPI_Error_string(status, text.data(), &length) != MPI_SUCCESS)
    return fmt::format("MPI error {}", status);
  return {text.data(), static_cast<std::size_t>(length)};
}

MpiGroup::MpiGroup(MPI_Comm owned, int rank, int size, std::string label,
                   std::shared_ptr<FlightRecord> record)
    : ProcessGroup(rank, size, std::move(label), std::move(record)), comm_(owned) {}

std::unique_ptr<MpiGroup> MpiGroup::adopt(MPI_Comm owned, std::string label,
                                          std::shared_ptr<FlightRecord> record) {
  int rank = 0;
  int size = 0;
  for (int status : {MPI_Comm_set_errhandler(owned, MPI_ERRORS_RETURN), MPI_Comm_rank(owned, &rank),
                     MPI_Comm_size(owned, &size)}) {
    check(status == MPI_SUCCESS, "group {}: {}", label, mpi_error_text(status));
  }
  return std::unique_ptr<MpiGroup>(new MpiGroup(owned, rank, size, std::move(label), std::move(record)));
}

std::unique_ptr<MpiGroup> MpiGroup::duplicate(MPI_Comm ranks, std::string label,
                                              std::shared_ptr<FlightRecord> record) {
  MPI_Comm comm = MPI_COMM_NULL;
  const int status = MPI_Comm_dup(ranks, &comm);
  check(status == MPI_SUCCESS, "MPI_Comm_dup for group {}: {}", label, mpi_error_text(status));
  return adopt(comm, std::move(label), std::move(record));
}

MpiGroup::~MpiGroup() {
  int finalized = 0;
  // With an exception on its way the peers are elsewhere and main is about to end the job: leave MPI alone.
  if (std::uncaught_exceptions() > 0 || MPI_Finalized(&finalized) != MPI_SUCCESS || finalized != 0) return;
  MPI_Comm_free(&comm_);  // Open MPI frees its own memory only; nothing could be done about an error here
}

std::unique_ptr<ProcessGroup> MpiGroup::part(MPI_Comm owned, std::string label) const {
  std::unique_ptr<MpiGroup> group = adopt(owned, std::move(label), record());
  if (group->size() == 1) return std::make_unique<SelfGroup>(group->label(), record());
  return group;
}

std::unique_ptr<ProcessGroup> MpiGroup::split(int color, int key, std::string label) {
  check(color >= 0, "color {} of group {}", color, label);
  do_barrier(label.c_str(), {});  // MPI's own call does not sleep
  MPI_Comm comm = MPI_COMM_NULL;
  checked(MPI_Comm_split(comm_, color, key, &comm), "MPI_Comm_split", label.c_str());
  return part(comm, std::move(label));
}

std::unique_ptr<ProcessGroup> MpiGroup::node() {
  MPI_Comm comm = MPI_COMM_NULL;
  checked(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &comm),
          "MPI_Comm_split_type", "node");
  return part(comm, "node");
}

void MpiGroup::do_abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
}

void MpiGroup::checked(int status, const char* function, const char* call) const {
  if (status == MPI_SUCCESS) return;
  fail(ExitCode::internal, "group {}, rank {} of {}: \"{}\": {}: {}", label(), rank(), size(), call, function,
       mpi_error_text(status));
}

void MpiGroup::post_recv(Incoming block, int from, DType dtype, const char* label) {
  const int count = narrow<int>(block.count);
  posted_.requests.push_back(MPI_REQUEST_NULL);
  posted_.peers.push_back(from);
  posted_.expected.push_back(count);
  checked(MPI_Irecv(block.data, count, mpi_type(dtype), from, kTag, comm_, &posted_.requests.back()),
          "MPI_Irecv", label);
}

void MpiGroup::post_send(Outgoing block, int to, DType dtype, const char* label) {
  const int count = narrow<int>(block.count);
  posted_.requests.push_back(MPI_REQUEST_NULL);
  posted_.peers.push_back(to);
  posted_.expected.push_back(-1);
  checked(MPI_Isend(block.data, count, mpi_type(dtype), to, kTag, comm_, &posted_.requests.back()),
          "MPI_Isend", label);
}

void MpiGroup::wait(DType dtype, const char* label) {
  const std::size_t n = posted_.requests.size();
  posted_.statuses.resize(n);
  int status = MPI_SUCCESS;
  const auto arrived = [&] {
    int all = 0;
    status = MPI_Testall(narrow<int>(n), posted_.requests.data(), &all, posted_.statuses.data());
    return all != 0 || status != MPI_SUCCESS;
  };
  wait_until(arrived, n);
  if (status != MPI_ERR_IN_STATUS) checked(status, "MPI_Testall", label);
  for (std::size_t i = 0; i < n; ++i) {
    if (status == MPI_ERR_IN_STATUS) {
      const int error = posted_.statuses[i].MPI_ERROR;
      if (error == MPI_SUCCESS || error == MPI_ERR_PENDING) continue;
      check(error != MPI_ERR_TRUNCATE,
            "group {}, rank {} of {}: \"{}\": rank {} sent more than the {} elements expected", this->label(),
            rank(), size(), label, posted_.peers[i], posted_.expected[i]);
      checked(error, "MPI_Testall", label);
    }
    if (posted_.expected[i] < 0) continue;
    int received = 0;
    checked(MPI_Get_count(&posted_.statuses[i], mpi_type(dtype), &received), "MPI_Get_count", label);
    check(received == posted_.expected[i],
          "group {}, rank {} of {}: \"{}\": rank {} sent {} elements, {} expected", this->label(), rank(),
          size(), label, posted_.peers[i], received, posted_.expected[i]);
  }
  posted_.requests.clear();
  posted_.peers.clear();
  posted_.expected.clear();
}

void MpiGroup::wait(MPI_Request request, const char* function, const char* label) {
  int status = MPI_SUCCESS;
  const auto arrived = [&] {
    int done = 0;
    status = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    return done != 0 || status != MPI_SUCCESS;
  };
  wait_until(arrived, 1);
  checked(status, function, label);
}

// All messages at once: as fast as pairwise or MPI_Alltoallv on shared memory (measured with Open MPI 4.1.4),
// and it does not make the ranks of an uneven exchange wait for each other in steps.
void MpiGroup::do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType dtype,
                           const char* label, Stream) {
  for (const Outgoing& block : send) narrow<int>(block.count);  // before anything is under way
  for (const Incoming& block : recv) narrow<int>(block.count);
  for (int step = 1; step < size(); ++step) {
    const int from = (rank() - step + size()) % size();
    post_recv(recv[static_cast<std::size_t>(from)], from, dtype, label);
  }
  for (int step = 1; step < size(); ++step) {
    const int to = (rank() + step) % size();
    post_send(send[static_cast<std::size_t>(to)], to, dtype, label);
  }
  const Outgoing& own = send[static_cast<std::size_t>(rank())];
  void* const place = recv[static_cast<std::size_t>(rank())].data;
  if (own.count > 0 && own.data != place) {
    std::memcpy(place, own.data, static_cast<std::size_t>(own.count * size_of(dtype)));
  }
  wait(dtype, label);
}

void MpiGroup::do_send_recv(Outgoing send, int to, Incoming recv, int from, DType dtype, const char* label,
                            Stream) {
  narrow<int>(send.count);
  if (from >= 0) post_recv(recv, from, dtype, label);
  if (to >= 0) post_send(send, to, dtype, label);
  wait(dtype, label);
}

void MpiGroup::do_broadcast(void* data, i64 bytes, int root, const char* label, Stream) {
  constexpr i64 kMessage = i64{1} << 30;  // an MPI count is an int
  for (i64 done = 0; done < bytes; done += kMessage) {
    MPI_Request request = MPI_REQUEST_NULL;
    checked(MPI_Ibcast(static_cast<std::byte*>(data) + done, narrow<int>(std::min(kMessage, bytes - done)),
                       MPI_BYTE, root, comm_, &request),
            "MPI_Ibcast", label);
    wait(request, "MPI_Ibcast", label);
  }
}

void MpiGroup::do_gather(const void* value, void* all, i64 bytes, const char* label, Stream) {
  MPI_Request request = MPI_REQUEST_NULL;
  checked(
      MPI_Iallgather(value, narrow<int>(bytes), MPI_BYTE, all, narrow<int>(bytes), MPI_BYTE, comm_, &request),
      "MPI_Iallgather", label);
  wait(request, "MPI_Iallgather", label);
}

void MpiGroup::do_barrier(const char* label, Stream) {
  MPI_Request request = MPI_REQUEST_NULL;
  checked(MPI_Ibarrier(comm_, &request), "MPI_Ibarrier", label);
  wait(request, "MPI_Ibarrier", label);
}

}  // namespace longsight::parallel
