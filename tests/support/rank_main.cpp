// doctest's main for ranks. All ranks run the same cases in the same order; after each case the verdicts are
// summed, so the job fails if any rank failed. Rank 0 prints, the others only where they failed.
#define DOCTEST_CONFIG_IMPLEMENT
#include <iostream>
#include <sstream>

#include <doctest/doctest.h>

#include "parallel/groups/mpi_session.h"
#include "tests/support/rank_test.h"

namespace {

using namespace longsight;

// What doctest's listener and the tests need; set by main, which owns it.
struct Job {
  parallel::ProcessGroup* world = nullptr;
  parallel::ProcessGroup* verdicts =
      nullptr;               // of its own: a broken test must not be able to take its messages
  std::ostringstream quiet;  // output of ranks other than 0
  i64 failed_cases = 0;      // summed over ranks
};
Job* job = nullptr;

// A rank that left a case early will not reach the collectives that its peers are in: end the job and say
// why.
[[noreturn]] void give_up(const std::string& why) {
  std::cerr << job->quiet.str() << fmt::format("[rank {}] {}\n", job->world->rank(), why) << std::flush;
  job->world->abort(3);
}

struct RankAgreement : doctest::IReporter {
  explicit RankAgreement(const doctest::ContextOptions&) {}
  void test_case_start(const doctest::TestCaseData& test) override { name = test.m_name; }
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    job->failed_cases += job->verdicts->all_reduce_sum(i64{stats.failure_flags != 0}, {}, "verdict");
  }
  void test_case_exception(const doctest::TestCaseException& e) override {
    give_up(fmt::format("\"{}\" threw: {}", name, e.error_string.c_str()));
  }
  void log_assert(const doctest::AssertData& assertion) override {
    if (!assertion.m_failed || (assertion.m_at & doctest::assertType::is_require) == 0) return;
    give_up(fmt::format("\"{}\", {}:{}: REQUIRE( {} ) is not so: {} {}", name, assertion.m_file,
                        assertion.m_line, assertion.m_expr, assertion.m_decomp.c_str(),
                        assertion.m_exception.c_str()));
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

  std::string name;
};
REGISTER_LISTENER("ranks", 1, RankAgreement);

}  // namespace

parallel::ProcessGroup& longsight::test_world() {
  return *job->world;
}

int main(int argc, char** argv) {
  parallel::MpiSession session(argc, argv);
  const auto verdicts = session.world().split(0, session.world().rank(), "verdicts");
  Job here;
  here.world = &session.world();
  here.verdicts = verdicts.get();
  job = &here;
  doctest::Context context(argc, argv);
  const bool speaks = session.world().rank() == 0;
  if (!speaks) context.setCout(&here.quiet);
  const int result = context.run();
  if (!speaks && result != 0) std::cerr << "---- rank " << session.world().rank() << "\n" << here.quiet.str();
  return result != 0 ? result : static_cast<int>(here.failed_cases != 0);
}
