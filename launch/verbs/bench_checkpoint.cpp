// longsight bench checkpoint: how fast a rank's share of a checkpoint gets onto the disk, against plain
// writes of as many bytes to the same folder, in turn.
#include <algorithm>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include "launch/measure.h"
#include "launch/output.h"
#include "launch/verb.h"
#include "parallel/checkpoint/snapshot.h"
#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

constexpr i64 kMebibyte = i64{1} << 20;

struct BenchCheckpoint {
  std::string dir = ".";
  i64 mib = 256, times = 5;
  bool json = false;
};

// Trained parameters whose values and moments have about so many bytes, in tensors of 4 MiB.
void fill_parameters(ParameterRegistry& parameters, i64 bytes) {
  for (i64 i = 0; i < std::max<i64>(1, bytes / (3 * 4 * kMebibyte)); ++i)
    parameters.add({.name = fmt::format("layers.{}.weight", i),
                    .shape = {1024, 1024},
                    .part = "language",
                    .init = init_normal(1)});
  parameters.set_trainable([](const Parameter&) { return true; });
  parameters.allocate(DType::F32, true);
  parameters.initialise(1);
}

// What the disk gives: one file, in large pieces, until it is there.
double seconds_of_plain_writes(const std::string& folder, i64 bytes) {
  const std::string path = folder + "/plain";
  const std::string piece(static_cast<std::size_t>(4 * kMebibyte), 'x');
  const double start = steady_seconds();
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  require(descriptor >= 0, ExitCode::cannot_write, "cannot write {}", path);
  for (i64 at = 0; at < bytes; at += std::ssize(piece))
    io::write_all(descriptor, piece.data(), std::min(std::ssize(piece), bytes - at), path);
  const bool there = ::fsync(descriptor) == 0;
  ::close(descriptor);
  const double seconds = steady_seconds() - start;
  require(there, ExitCode::cannot_write, "cannot write {}", path);
  std::filesystem::remove(path);
  return seconds;
}

ExitCode bench_checkpoint(Job& job, const BenchCheckpoint& o) {
  if (!job.leads()) return ExitCode::done;
  require_free_space(o.dir, 2 * o.mib * kMebibyte, "the measurement");
  const io::TemporaryFolder folder(o.dir + "/bench-checkpoint");
  ParameterRegistry parameters;
  fill_parameters(parameters, o.mib * kMebibyte);
  const parallel::AdamW optimizer(parameters);
  std::vector<double> plain, copies, saves, ratios;
  i64 bytes = 0;
  for (i64 i = 0; i < o.times; ++i) {
    const double start = steady_seconds();
    const parallel::Snapshot snapshot(parameters, optimizer, 0, 1, job.stream);
    const double copied = steady_seconds();
    const parallel::CheckpointFile file = snapshot.write(folder.path());
    saves.push_back(steady_seconds() - start);
    copies.push_back(copied - start);
    bytes = file.bytes;
    std::filesystem::remove(folder.path() + "/" + file.name);
    plain.push_back(seconds_of_plain_writes(folder.path(), bytes));
    ratios.push_back(plain.back() / saves.back());
  }
  const auto speed = [&](const std::vector<double>& seconds) {
    return static_cast<double>(bytes) / static_cast<double>(kMebibyte) / median(seconds);
  };
  const nlohmann::ordered_json line{{"bytes", bytes},
                                    {"copy_seconds", median(copies)},
                                    {"save_seconds", median(saves)},
                                    {"save_mib_per_second", speed(saves)},
                                    {"disk_mib_per_second", speed(plain)},
                                    {"share_of_disk", median(ratios)},
                                    {"share_of_disk_min", *std::min_element(ratios.begin(), ratios.end())},
                                    {"share_of_disk_max", *std::max_element(ratios.begin(), ratios.end())}};
  if (o.json) fmt::print("{}\n", json_text(line));
  for (const auto& [key, value] : line.items()) {
    if (!o.json) fmt::print("{:24} {:.4g}\n", key, value.get<double>());
  }
  return ExitCode::done;
}

}  // namespace

void add_bench_checkpoint(Command bench, Run& run) {
  const Command verb = bench.add_command(
      "checkpoint", "Writing a rank's share (copy, file, sync, read again) against plain writes, in turn");
  auto o = std::make_shared<BenchCheckpoint>();
  verb.add_option("--dir", o->dir, "folder on the disk to measure");
  verb.add_option("--mib", o->mib, "of values and moments").positive();
  verb.add_option("--times", o->times, "of each; medians are printed").positive();
  verb.add_flag("--json", o->json, "one line of JSON");
  verb.callback([o, &run] { run = [o](Job& job) { return bench_checkpoint(job, *o); }; });
}

}  // namespace longsight::launch
