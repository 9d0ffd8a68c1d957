#include "launch/control_groups.h"

#include <fstream>
#include <optional>
#include <sstream>

namespace longsight::launch {
namespace {

// A mounted hierarchy of control groups.
struct Mount {
  std::string root;   // of the hierarchy, as far as this mount shows it
  std::string point;  // where it is mounted
  bool unified = false;
};

bool lists(const std::string& words, const std::string& word) {
  return ("," + words + ",").find("," + word + ",") != std::string::npos;
}

// The hierarchies that can limit it, of /proc/self/mountinfo.
std::vector<Mount> mounts_of(const std::string& controller, std::istream& mountinfo) {
  std::vector<Mount> mounts;
  for (std::string line; std::getline(mountinfo, line);) {
    std::istringstream words(line);
    std::string id, parent, device, word, type, source, options;
    Mount mount;
    words >> id >> parent >> device >> mount.root >> mount.point;
    while (words >> word && word != "-") {
    }
    words >> type >> source >> options;
    mount.unified = type == "cgroup2";
    if (mount.unified || (type == "cgroup" && lists(options, controller))) mounts.push_back(std::move(mount));
  }
  return mounts;
}

// The group that /proc/self/cgroup names in the hierarchy: "0::/path" or "4:cpu,cpuacct:/path".
std::optional<std::string> group_in(std::istream& cgroups, bool unified, const std::string& controller) {
  for (std::string line; std::getline(cgroups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (unified ? controllers.empty() : lists(controllers, controller)) return line.substr(second + 1);
  }
  return std::nullopt;
}

}  // namespace

std::vector<ControlGroup> control_groups(const std::string& controller, const std::string& root) {
  std::vector<ControlGroup> groups;
  std::ifstream mountinfo(root + "/proc/self/mountinfo");
  for (const Mount& mount : mounts_of(controller, mountinfo)) {
    std::ifstream cgroups(root + "/proc/self/cgroup");
    std::string below = group_in(cgroups, mount.unified, controller).value_or("");
    // In a container the mount may show only the part of the hierarchy below its own group.
    if (mount.root != "/" && below.starts_with(mount.root)) below.erase(0, mount.root.size());
    for (;; below.erase(below.rfind('/'))) {
      if (below == "/") below.clear();
      groups.push_back({.folder = root + mount.point + below, .unified = mount.unified});
      if (below.find('/') == std::string::npos) break;
    }
  }
  return groups;
}

}  // namespace longsight::launch
