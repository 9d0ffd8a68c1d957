#include "launch/watchdog/threads.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "runtime/base/json.h"

namespace longsight::launch {
namespace {

std::string text_of_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// The third field; the second, a name in brackets, may hold anything.
std::string state_in(const std::string& stat) {
  const std::size_t name_end = stat.rfind(") ");
  return name_end == std::string::npos ? "" : stat.substr(name_end + 2, 1);
}

}  // namespace

std::string threads_text() {
  nlohmann::ordered_json threads = nlohmann::ordered_json::array();
  std::error_code error;
  for (std::filesystem::directory_iterator task("/proc/self/task", error), end; !error && task != end;
       task.increment(error)) {
    const std::string waits_in = text_of_file(task->path() / "wchan");
    threads.push_back({{"name", text_of_file(task->path() / "comm")},
                       {"state", state_in(text_of_file(task->path() / "stat"))},
                       {"waits_in", waits_in == "0" ? "" : waits_in}});
  }
  return json_text(nlohmann::ordered_json{{"threads", threads}});
}

}  // namespace longsight::launch
