// Gives files to the targets of targets.h: FOLDER/TARGET/FILE, each to its target in a process of its own. An
// input may crash nothing, and take no more memory than the size of the file allows.
// usage: replay_seeds FOLDER
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/number.h"
#include "tests/fuzz/targets.h"

using namespace longsight;
namespace fs = std::filesystem;

namespace {

constexpr i64 kMiB = i64{1} << 20;

struct Target {
  const char* name;
  void (*read)(fuzz::Bytes);
};
#define LONGSIGHT_TARGET(name) \
  { #name, fuzz::name }
constexpr Target kTargets[] = {LONGSIGHT_TARGET(bmp),
                               LONGSIGHT_TARGET(chat_template),
                               LONGSIGHT_TARGET(checkpoint_manifest),
                               LONGSIGHT_TARGET(config_yaml),
                               LONGSIGHT_TARGET(data_index),
                               LONGSIGHT_TARGET(data_record),
                               LONGSIGHT_TARGET(gif),
                               LONGSIGHT_TARGET(gzip),
                               LONGSIGHT_TARGET(image_processor),
                               LONGSIGHT_TARGET(jpeg),
                               LONGSIGHT_TARGET(model_config),
                               LONGSIGHT_TARGET(png),
                               LONGSIGHT_TARGET(safetensors),
                               LONGSIGHT_TARGET(safetensors_index),
                               LONGSIGHT_TARGET(sentencepiece),
                               LONGSIGHT_TARGET(tar),
                               LONGSIGHT_TARGET(tiff),
                               LONGSIGHT_TARGET(tokenizer_json),
                               LONGSIGHT_TARGET(webp)};

// Most resident memory of a process, of /proc/self/status.
i64 peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    i64 kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return 0;
}

// Memory that the reader may take at most: of a megabyte and less 64 MiB and four times as much, of more
// 128 MiB. The target holds the file itself up to twice.
i64 most_memory(i64 bytes) {
  return (bytes <= kMiB ? 64 * kMiB + 4 * bytes : 128 * kMiB) + 2 * bytes;
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCountMemory = false;  // the sanitizer takes its own
#else
constexpr bool kCountMemory = true;
#endif

// What is wrong; empty: nothing.
std::string problem_of(const Target& target, const fs::path& path, i64& peak) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child < 0) return "no process";
  if (child == 0) {
    std::ifstream file(path, std::ios::binary);
    std::vector<std::uint8_t> bytes(fs::file_size(path));
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    target.read(bytes);
    const i64 mine = peak_memory();
    std::_Exit(::write(pipe[1], &mine, sizeof(mine)) == sizeof(mine) ? 0 : 1);
  }
  ::close(pipe[1]);
  peak = 0;
  const bool reported = ::read(pipe[0], &peak, sizeof(peak)) == sizeof(peak);
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!reported || status != 0) {
    return WIFSIGNALED(status) ? fmt::format("ended by signal {}", WTERMSIG(status))
                               : fmt::format("ended with {}", WEXITSTATUS(status));
  }
  const auto bytes = static_cast<i64>(fs::file_size(path));
  if (kCountMemory && peak > most_memory(bytes))
    return fmt::format("{} bytes took {} MiB, {} are allowed", bytes, peak / kMiB, most_memory(bytes) / kMiB);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: replay_seeds FOLDER     (with FOLDER/TARGET/FILE)\n");
    return 64;
  }
  int bad = 0;
  for (const Target& target : kTargets) {
    std::vector<fs::path> files;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(fs::path(argv[1]) / target.name, none))
      files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    i64 most = 0;
    for (const fs::path& file : files) {
      i64 peak = 0;
      const std::string problem = problem_of(target, file, peak);
      most = std::max(most, peak);
      if (problem.empty()) continue;
      fmt::print("{}: {}\n", file.string(), problem);
      ++bad;
    }
    fmt::print("{:<20} {:>5} files, at most {} MiB\n", target.name, files.size(), most / kMiB);
    bad += files.empty();
  }
  fmt::print("{}\n", bad == 0 ? "all were read or refused" : fmt::format("{} faults", bad));
  return bad == 0 ? 0 : 1;
}
