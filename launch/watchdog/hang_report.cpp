#include "launch/watchdog/hang_report.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <tuple>

#include "launch/measure.h"
#include "launch/watchdog/threads.h"
#include "parallel/groups/rank_text.h"
#include "runtime/base/clock.h"
#include "runtime/base/json.h"

namespace longsight::launch {
namespace {

using parallel::CallRecord;
using parallel::Standing;

// Fewer calls in the group of all ranks come first: the numbers of ranks that share no smaller group need not
// go together. Who is in a call is behind who has it done.
auto progress_of(const Standing& at) {
  return std::tuple(at.world, at.call.number, !at.call.under_way());
}

// 4711 all_to_all "vision.0.qkv" of group sequence
std::string call_text(const CallRecord& call) {
  return fmt::format("{} {} \"{}\" of group {}", call.number, name_of(call.operation), call.label.data(),
                     call.group.data());
}

// "in" the call, or "behind" it and in which phase.
std::string place_text(const Standing& at) {
  if (at.call.under_way()) return "in " + call_text(at.call);
  if (at.call.number == 0) return fmt::format("in its {}, before any collective", name_of(at.phase));
  return fmt::format("in its {}, behind {}", name_of(at.phase), call_text(at.call));
}

using Ranks = std::vector<int>;

const Standing& standing(const std::vector<LastSeen>& ranks, int rank) {
  return ranks[static_cast<std::size_t>(rank)].beat.standing;
}

// Ranks by what may be said of them, those who are furthest behind first.
std::vector<std::pair<std::string, Ranks>> by_place(const std::vector<LastSeen>& ranks, Ranks of) {
  std::stable_sort(of.begin(), of.end(), [&](int a, int b) {
    return progress_of(standing(ranks, a)) < progress_of(standing(ranks, b));
  });
  std::vector<std::pair<std::string, Ranks>> places;
  for (const int rank : of) {
    const std::string text = place_text(standing(ranks, rank));
    const auto same =
        std::find_if(places.begin(), places.end(), [&](const auto& p) { return p.first == text; });
    if (same == places.end())
      places.push_back({text, {rank}});
    else
      same->second.push_back(rank);
  }
  for (auto& place : places) std::sort(place.second.begin(), place.second.end());
  return places;
}

// "; the others wait in X", or rank by rank where they are not at one place.
std::string others_text(const std::vector<LastSeen>& ranks, const Ranks& others) {
  const auto places = by_place(ranks, others);
  if (places.size() == 1)
    return fmt::format("; {} {}",
                       others.size() == 1 ? parallel::ranks_text(others) + " is" : "the others are",
                       places[0].first);
  std::string text;
  for (const auto& [place, members] : places)
    text +=
        fmt::format("; {} {} {}", parallel::ranks_text(members), members.size() == 1 ? "is" : "are", place);
  return text;
}

}  // namespace

std::string who_is_behind(const std::vector<LastSeen>& ranks) {
  Ranks silent, heard;
  for (int rank = 0; rank < narrow<int>(ranks.size()); ++rank) {
    const LastSeen& seen = ranks[static_cast<std::size_t>(rank)];
    if (!seen.beat.ended) (seen.heard ? heard : silent).push_back(rank);
  }
  if (!silent.empty()) {
    std::string text;
    for (const auto& [place, members] : by_place(ranks, silent))
      text +=
          fmt::format("{}{} {} not been heard of since step {}, when {} {}", text.empty() ? "" : "; ",
                      parallel::ranks_text(members), members.size() == 1 ? "has" : "have",
                      standing(ranks, members[0]).step, members.size() == 1 ? "it was" : "they were", place);
    return heard.empty() ? text : text + others_text(ranks, heard);
  }
  if (heard.empty()) return "every rank has left the run";
  const auto places = by_place(ranks, heard);
  const Ranks& behind = places[0].second;
  if (places.size() == 1)
    return fmt::format("{} {} {}: none is behind the others", parallel::ranks_text(behind),
                       behind.size() == 1 ? "is" : "are", places[0].first);
  Ranks others;
  std::set_difference(heard.begin(), heard.end(), behind.begin(), behind.end(), std::back_inserter(others));
  return fmt::format("{} {} {}{}", parallel::ranks_text(behind), behind.size() == 1 ? "is" : "are",
                     places[0].first, others_text(ranks, others));
}

std::string hang_report(const std::vector<LastSeen>& ranks) {
  std::string text = who_is_behind(ranks) + "\n\n";
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const auto& [beat, heard] = ranks[rank];
    text +=
        fmt::format("rank {}, process {} on {}: {}, step {} was its last, {} in the group of all ranks, {}\n",
                    rank, beat.process, beat.host,
                    beat.ended ? "has left the run"
                    : heard    ? fmt::format("runs, got on {:.1f} s ago", beat.quiet)
                               : "has stopped, or its host is gone: it has written no record",
                    beat.standing.step, beat.standing.world, place_text(beat.standing));
  }
  return text;
}

std::string record_text(const Heartbeat& beat, const std::vector<CallRecord>& calls) {
  const double now = steady_seconds();
  const auto time_of_day = [now](double steady) -> nlohmann::ordered_json {
    if (steady == 0) return nullptr;
    return utc_text(std::chrono::time_point_cast<std::chrono::system_clock::duration>(
        std::chrono::system_clock::now() - std::chrono::duration<double>(now - steady)));
  };
  std::string text = text_of(beat) + "\n" + threads_text() + "\n";
  for (const CallRecord& call : calls) {
    text += json_text(nlohmann::ordered_json{{"number", call.number},
                                             {"group", call.group.data()},
                                             {"in_group", call.in_group},
                                             {"operation", name_of(call.operation)},
                                             {"label", call.label.data()},
                                             {"bytes", call.bytes},
                                             {"state", call.under_way() ? "begun" : "done"},
                                             {"begun", time_of_day(call.begun)},
                                             {"done", time_of_day(call.done)}}) +
            "\n";
  }
  return text;
}

}  // namespace longsight::launch
