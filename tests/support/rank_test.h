// For *_rank_test.cpp files: all ranks run the same cases in the same order, rank_main.cpp combines their
// verdicts.
#pragma once

#include "parallel/groups/process_group.h"

namespace longsight {

// All ranks of the job. CHECK may fail on some ranks only; a failed REQUIRE or an exception on one rank ends
// the job, because the others would wait for it.
parallel::ProcessGroup& test_world();

}  // namespace longsight
