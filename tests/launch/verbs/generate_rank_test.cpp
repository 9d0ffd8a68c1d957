// `longsight generate --data` on several ranks: they share the samples, rank 0 prints what one rank prints.
#include <doctest/doctest.h>

#include "tests/launch/run_verb.h"
#include "tests/support/rank_test.h"

using namespace longsight;
using namespace longsight::launch;

TEST_CASE("ranks share the samples, and rank 0 prints all lines in the order of the file") {
  const std::string folder = "tests/goldens/llava-clip-llama";
  // Seven samples: two rounds on two and on three ranks, the second one with unequal shares.
  const std::vector<std::string> arguments{
      "generate",     "--model", folder + "/model", "--data", folder + "/samples.jsonl",
      "--max-tokens", "5",       "--dtype",         "f64"};
  const VerbResult shared = run_verb(add_generate, arguments, test_world());
  CHECK(shared.code == ExitCode::done);
  if (test_world().rank() == 0) {
    const VerbResult alone = run_verb(add_generate, arguments);
    CHECK(std::count(alone.out.begin(), alone.out.end(), '\n') == 7);
    CHECK(shared.out == alone.out);
  } else {
    CHECK(shared.out.empty());
  }
}
