// What `longsight doctor` says: a line for each thing that it looked at.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "parallel/groups/process_group.h"

namespace longsight::launch::doctor {

enum class Verdict {
  ok,
  note,   // works, and is worth knowing
  wrong,  // will fail, hang or be slow: something is to be done
};
const char* name_of(Verdict verdict);  // "ok", "note", "WRONG"

struct Finding {
  Verdict verdict = Verdict::ok;
  std::string name = {};    // "shared memory"
  std::string text = {};    // what was found
  std::string remedy = {};  // what to do; of what is wrong never empty
  friend bool operator==(const Finding&, const Finding&) = default;
};
using Findings = std::vector<Finding>;

// The same finding of some ranks.
struct RanksFinding {
  Finding finding;
  std::vector<i64> ranks;  // ascending; all of them where nothing differs
};

// Element r of `of_ranks` is what rank r found. Equal findings become one; findings of one name stand
// together, names in the order in which they first come.
std::vector<RanksFinding> merge(const std::vector<Findings>& of_ranks);

// Collective. The merged findings, on every rank.
std::vector<RanksFinding> gather(const Findings& own, parallel::ProcessGroup& world, Stream stream);

// Collective: what the first rank of the group found, on all of them. What a node has one of is looked at
// once.
Findings of_leader(const Findings& own, parallel::ProcessGroup& group, Stream stream);

// "WRONG  shared memory   64 MiB, 12 MiB free (rank 2)\n   -> start the container with --shm-size=1g".
// `ranks`: of the job; where all found the same, none is named.
std::string text_of(const RanksFinding& found, std::size_t name_width, i64 ranks);
nlohmann::ordered_json json_of(const RanksFinding& found);

}  // namespace longsight::launch::doctor
