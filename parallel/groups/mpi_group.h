// A group of ranks over MPI, host memory. Every status is looked at, in release too; an error names group,
// rank and call.
//
// Each exchange sends one message per pair of ranks, also where the count is zero, and compares the length of
// what arrives with what was expected: a wrong count is an error on the rank that sees it, never data for a
// later call. A rank that waits for its peers sleeps (parallel/groups/waiter.h).
#pragma once

// Open MPI's C++ bindings were removed from the standard and need a library of their own.
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include "parallel/groups/process_group.h"

namespace longsight::parallel {

class MpiGroup final : public ProcessGroup {
 public:
  // Collective over `ranks`; duplicates it, so that nobody else's messages can be mistaken for the group's.
  // `record`: also of the groups that are made of it.
  static std::unique_ptr<MpiGroup> duplicate(MPI_Comm ranks, std::string label,
                                             std::shared_ptr<FlightRecord> record = {});
  // The ranks of the group that share this rank's node. Collective over the group.
  std::unique_ptr<ProcessGroup> node();
  ~MpiGroup() override;

  std::unique_ptr<ProcessGroup> split(int color, int key, std::string label) override;

 private:
  MpiGroup(MPI_Comm owned, int rank, int size, std::string label, std::shared_ptr<FlightRecord> record);
  static std::unique_ptr<MpiGroup> adopt(MPI_Comm owned, std::string label,
                                         std::shared_ptr<FlightRecord> record);
  std::unique_ptr<ProcessGroup> part(MPI_Comm owned, std::string label) const;

  void do_exchange(std::span<const Outgoing> send, std::span<const Incoming> recv, DType, const char* label,
                   Stream) override;
  void do_send_recv(Outgoing send, int to, Incoming recv, int from, DType, const char* label,
                    Stream) override;
  void do_broadcast(void* data, i64 bytes, int root, const char* label, Stream) override;
  void do_gather(const void* value, void* all, i64 bytes, const char* label, Stream) override;
  void do_barrier(const char* label, Stream) override;
  void do_abort(int code) override;

  void checked(int status, const char* function, const char* call) const;
  struct Posted {  // messages under way
    std::vector<MPI_Request> requests;
    std::vector<MPI_Status> statuses;
    std::vector<int> peers;
    std::vector<int> expected;  // -1: a send
  };
  void post_recv(Incoming, int from, DType, const char* label);
  void post_send(Outgoing, int to, DType, const char* label);
  void wait(DType, const char* label);                                      // for all that was posted
  void wait(MPI_Request request, const char* function, const char* label);  // for a collective of MPI

  MPI_Comm comm_;
  Posted posted_;
};

// The text of an MPI status, for messages.
std::string mpi_error_text(int status);

}  // namespace longsight::parallel
