#include "launch/doctor/finding.h"

#include <algorithm>

#include "launch/doctor/ranges.h"
#include "runtime/base/json.h"
#include "runtime/base/ordered_json.h"

namespace longsight::launch::doctor {
namespace {

std::string packed(const Findings& findings) {
  OrderedJson list = OrderedJson::array();
  for (const Finding& f : findings) list.push_back({static_cast<int>(f.verdict), f.name, f.text, f.remedy});
  return json_text(list);
}

Findings unpacked(const std::string& text) {
  Findings findings;
  for (const Json& f : parse_json(text, "findings of a rank")) {
    findings.push_back({.verdict = static_cast<Verdict>(f[0].get<int>()),
                        .name = f[1].get<std::string>(),
                        .text = f[2].get<std::string>(),
                        .remedy = f[3].get<std::string>()});
  }
  return findings;
}

// "rank 3", "ranks 0-2, 5".
std::string ranks_text(const std::vector<i64>& ranks) {
  return (ranks.size() == 1 ? "rank " : "ranks ") + ranges_text(ranks);
}

}  // namespace

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::note:
      return "note";
    case Verdict::wrong:
      return "WRONG";
  }
  return "?";
}

std::vector<RanksFinding> merge(const std::vector<Findings>& of_ranks) {
  std::vector<RanksFinding> merged;
  for (std::size_t rank = 0; rank < of_ranks.size(); ++rank) {
    for (const Finding& finding : of_ranks[rank]) {
      const auto same = std::find_if(merged.begin(), merged.end(),
                                     [&](const RanksFinding& m) { return m.finding == finding; });
      if (same != merged.end()) {
        same->ranks.push_back(static_cast<i64>(rank));
        continue;
      }
      // Behind the last one of its name.
      auto at = std::find_if(merged.rbegin(), merged.rend(), [&](const RanksFinding& m) {
                  return m.finding.name == finding.name;
                }).base();
      if (at == merged.begin()) at = merged.end();
      merged.insert(at, {finding, {static_cast<i64>(rank)}});
    }
  }
  return merged;
}

std::vector<RanksFinding> gather(const Findings& own, parallel::ProcessGroup& world, Stream stream) {
  std::vector<Findings> all;
  for (const std::string& text : world.all_gather(packed(own), stream, "findings"))
    all.push_back(unpacked(text));
  return merge(all);
}

Findings of_leader(const Findings& own, parallel::ProcessGroup& group, Stream stream) {
  return unpacked(group.all_gather(packed(own), stream, "findings of one").front());
}

std::string text_of(const RanksFinding& found, std::size_t name_width, i64 ranks) {
  const Finding& f = found.finding;
  const bool all = static_cast<i64>(found.ranks.size()) == ranks;
  std::string text = fmt::format("{:<5}  {:<{}}  {}{}", name_of(f.verdict), f.name, name_width, f.text,
                                 all ? "" : fmt::format(" ({})", ranks_text(found.ranks)));
  if (!f.remedy.empty()) text += fmt::format("\n{:7}{:<{}}  -> {}", "", "", name_width, f.remedy);
  return text;
}

nlohmann::ordered_json json_of(const RanksFinding& found) {
  const Finding& f = found.finding;
  return {{"verdict", name_of(f.verdict)},
          {"name", f.name},
          {"finding", f.text},
          {"remedy", f.remedy},
          {"ranks", found.ranks}};
}

}  // namespace longsight::launch::doctor
