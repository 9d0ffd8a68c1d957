#include "tests/support/trace_fault.h"

#include <csetjmp>
#include <csignal>

#include <fmt/format.h>

namespace longsight::test {
namespace {

sigjmp_buf g_before;

void back(int) {
  siglongjmp(g_before, 1);
}

}  // namespace

std::string fault_of(const Trace& trace, const std::function<void()>& program) {
  struct sigaction own {
  }, earlier{};
  own.sa_handler = back;
  sigaction(SIGSEGV, &own, &earlier);
  const bool faulted = sigsetjmp(g_before, 1) != 0;
  if (!faulted) program();
  sigaction(SIGSEGV, &earlier, nullptr);
  if (!faulted) return "";
  return fmt::format("the host touches memory of the trace behind {} in part \"{}\"",
                     trace.calls().empty() ? "no op" : trace.calls().back().op, trace.place().part);
}

}  // namespace longsight::test
