#include "launch/node_memory.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "launch/control_groups.h"

namespace longsight::launch {
namespace {

std::optional<i64> number_in(const std::string& path) {
  i64 value = 0;
  std::ifstream file(path);
  if (file >> value) return value;  // "max" is no number
  return std::nullopt;
}

// "inactive_file 1234": a line of memory.stat.
i64 counter_in(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string name;
  for (i64 value = 0; file >> name >> value;) {
    if (name == key) return value;
  }
  return 0;
}

std::optional<i64> left_in(const ControlGroup& group) {
  const auto file = [&](const char* v2, const char* v1) {
    return group.folder + "/" + (group.unified ? v2 : v1);
  };
  const auto limit = number_in(file("memory.max", "memory.limit_in_bytes"));
  const auto used = number_in(file("memory.current", "memory.usage_in_bytes"));
  if (!limit || !used) return std::nullopt;
  const i64 cache =
      counter_in(group.folder + "/memory.stat", group.unified ? "inactive_file" : "total_inactive_file");
  return std::max<i64>(0, *limit - std::max<i64>(0, *used - cache));
}

}  // namespace

i64 meminfo(const std::string& key, const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    i64 kib = 0;
    if (words >> name >> kib && name == key + ":") return kib * 1024;
  }
  return 0;
}

std::optional<i64> memory_left(const std::string& root) {
  std::optional<i64> least;
  if (const i64 available = meminfo("MemAvailable", root); available > 0) least = available;
  for (const ControlGroup& group : control_groups("memory", root)) {
    const std::optional<i64> left = left_in(group);
    if (left && (!least || *left < *least)) least = left;
  }
  return least;
}

i64 share_of_memory(i64 left, i64 ranks_of_node) {
  return left / 10 * 9 / ranks_of_node;
}

i64 memory_of_each_rank(parallel::ProcessGroup& world, i64 ranks_of_node, Stream stream) {
  const std::optional<i64> left = memory_left();
  const i64 own = left ? share_of_memory(*left, ranks_of_node) : 0;
  const std::vector<i64> all = world.all_gather(own, stream, "memory");
  return *std::min_element(all.begin(), all.end());
}

}  // namespace longsight::launch
