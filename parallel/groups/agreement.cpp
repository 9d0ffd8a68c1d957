#include "parallel/groups/agreement.h"

#include <algorithm>
#include <map>
#include <set>

#include "parallel/groups/rank_text.h"
#include "runtime/base/stream_hash.h"

namespace longsight::parallel {
namespace {

// Names and values of a rank as one text, and back. Neither holds control characters.
constexpr char kEndOfName = '\x1f', kEndOfFact = '\x1e';

std::string text_of(const std::vector<Fact>& facts) {
  std::string text;
  for (const Fact& fact : facts) text += fact.name + kEndOfName + fact.value + kEndOfFact;
  return text;
}

std::vector<Fact> facts_of(const std::string& text) {
  std::vector<Fact> facts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t name_end = text.find(kEndOfName, at), end = text.find(kEndOfFact, name_end);
    facts.push_back({text.substr(at, name_end - at), text.substr(name_end + 1, end - name_end - 1)});
    at = end + 1;
  }
  return facts;
}

std::string shortened(const std::string& value) {
  constexpr std::size_t kLongest = 120;
  return value.size() <= kLongest ? value : value.substr(0, kLongest) + "...";
}

// "train.seed is 1 on ranks 0, 2 but 2 on rank 1"; empty where all agree on it.
std::string difference(const std::string& name, const std::vector<std::map<std::string, std::string>>& all) {
  std::vector<std::pair<std::string, std::vector<int>>> by_value;  // in the order of their lowest ranks
  for (std::size_t r = 0; r < all.size(); ++r) {
    const auto found = all[r].find(name);
    const std::string value = found == all[r].end() ? "not there" : found->second;
    auto same =
        std::find_if(by_value.begin(), by_value.end(), [&](const auto& v) { return v.first == value; });
    if (same == by_value.end()) same = by_value.insert(by_value.end(), {value, {}});
    same->second.push_back(static_cast<int>(r));
  }
  if (by_value.size() == 1) return {};
  std::string text = name;
  constexpr std::size_t kShown = 3;
  for (std::size_t i = 0; i < std::min(kShown, by_value.size()); ++i)
    text += fmt::format("{}{} on {}", i == 0 ? " is " : " but ", shortened(by_value[i].first),
                        ranks_text(by_value[i].second));
  return text;
}

}  // namespace

void require_agreement(const std::vector<Fact>& facts, ExitCode code, const std::string& remedy,
                       ProcessGroup& group, Stream stream) {
  if (group.size() == 1) return;
  const std::string mine = text_of(facts);
  StreamHash hash;
  hash.add(mine);
  const std::vector<u64> hashes = group.all_gather(hash.digest(), stream, "agreement");
  // All ranks see the same hashes, so they look for the difference together or not at all.
  if (std::all_of(hashes.begin(), hashes.end(), [&](u64 h) { return h == hashes[0]; })) return;
  std::vector<std::map<std::string, std::string>> all;
  std::vector<std::string> names;  // in the order of the facts, those that only later ranks have last
  std::set<std::string> known;
  for (const std::string& text : group.all_gather(mine, stream, "agreement")) {
    std::map<std::string, std::string>& of_rank = all.emplace_back();
    for (const Fact& fact : facts_of(text)) {
      if (known.insert(fact.name).second) names.push_back(fact.name);
      of_rank[fact.name] = fact.value;
    }
  }
  for (const std::string& name : names) {
    const std::string found = difference(name, all);
    require(found.empty(), code, "the ranks do not agree: {}: {}", found, remedy);
  }
  fail(ExitCode::internal, "the ranks do not agree, but on which fact is not to be found");
}

}  // namespace longsight::parallel
