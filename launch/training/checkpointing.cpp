#include "launch/training/checkpointing.h"

#include <chrono>
#include <filesystem>

#include "launch/output.h"
#include "launch/training/checkpoint_folder.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

constexpr const char* kTask = "a checkpoint";
constexpr const char* kExchange = "checkpoint";

// Of all ranks' shares, with a tenth to spare.
i64 room_for(const ParameterRegistry& parameters, i64 ranks) {
  const i64 bytes = parallel::share_bytes(parameters, ranks) * ranks;
  return bytes + bytes / 10;
}

}  // namespace

Checkpointing::Checkpointing(Job& job, const OutputSection& output, const TrainState& state,
                             Failures& failures)
    : job_(job), output_(output), state_(state), failures_(failures) {}

void Checkpointing::open(RunFolder& run, std::set<i64> refused) {
  run_ = &run;
  refused_ = std::move(refused);
  remove_unfinished_checkpoints(run.checkpoints());
}

i64 Checkpointing::bytes_needed(i64 steps) const {
  i64 count = 0;
  for (const i64 every : {output_.save_every, output_.checkpoint_every}) {
    if (every > 0) count = std::max(count, std::min(output_.keep + 1, steps / every));
  }
  return count * parallel::share_bytes(state_.model.parameters(), 1);
}

std::string Checkpointing::make_folder(i64 step) {
  temporary_.reset();
  failures_.attempt(kTask, [&] {
    folder_ = std::filesystem::absolute(run_->checkpoints()).string();
    io::ensure_folder(folder_);
    require_free_space(folder_, room_for(state_.model.parameters(), job_.world.size()), kTask);
    temporary_ = std::make_unique<io::TemporaryFolder>(folder_ + "/" + checkpoint_name(step));
  });
  return temporary_ ? temporary_->path() : "";
}

void Checkpointing::begin(const parallel::Manifest& head) {
  if (under_way()) finish();
  const std::string made = job_.leads() ? make_folder(head.step) : "";
  const std::string folder = job_.world.all_gather(made, job_.stream, kExchange).front();
  if (folder.empty()) return;
  manifest_ = head;
  const ParameterRegistry& parameters = state_.model.parameters();
  const int rank = job_.world.rank(), ranks = job_.world.size();
  if (job_.leads()) manifest_.tensors = parallel::deal_tensors(parameters, state_.optimizer, ranks);
  std::shared_ptr<const parallel::Snapshot> snapshot;
  try {
    snapshot = std::make_shared<parallel::Snapshot>(parameters, state_.optimizer, rank, ranks, job_.stream);
  } catch (const std::bad_alloc&) {  // said by the thread, as what else goes wrong
  }
  writing_ = std::async(std::launch::async, [snapshot, folder] {
    Outcome outcome;
    try {
      require(snapshot != nullptr, ExitCode::internal, "out of memory");
      outcome.file = snapshot->write(folder);
    } catch (const Error& error) {
      outcome = {{}, error.code(), error.what()};
    } catch (const std::exception& error) {
      outcome = {{}, ExitCode::cannot_write, error.what()};
    }
    return outcome;
  });
}

bool Checkpointing::busy() const {
  return under_way() && writing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
}

bool Checkpointing::finish() {
  if (!under_way()) return false;
  const Outcome own = writing_.get();
  const Json told{{"code", static_cast<int>(own.code)},
                  {"problem", own.problem},
                  {"name", own.file.name},
                  {"bytes", own.file.bytes},
                  {"hash", own.file.hash}};
  std::vector<parallel::CheckpointFile> files;
  bool whole = true;
  for (const std::string& text : job_.world.all_gather(json_text(told), job_.stream, kExchange)) {
    const Json of_rank = parse_json(text, kExchange);
    files.push_back({of_rank["name"], of_rank["bytes"], of_rank["hash"]});
    const auto code = static_cast<ExitCode>(of_rank["code"].get<int>());
    if (code == ExitCode::done || !whole) continue;
    whole = false;
    failures_.add(kTask, Error(code, of_rank["problem"].get<std::string>()));
  }
  const bool committed = whole && job_.leads() && commit(std::move(files));
  temporary_.reset();
  if (job_.world.all_reduce_max(i64{committed}, job_.stream, kExchange) == 0) return false;
  written_ = manifest_.step;
  return true;
}

bool Checkpointing::commit(std::vector<parallel::CheckpointFile> files) {
  manifest_.files = std::move(files);
  bool committed = false;
  failures_.attempt(kTask, [&] {
    io::write_file(temporary_->path() + "/" + parallel::kManifestName, manifest_text(manifest_));
    temporary_->commit(io::TemporaryFolder::Existing::replace);
    committed = true;
    log_info("checkpoint of step {}: {:.1f} MiB in {}/checkpoints/{}", manifest_.step,
             static_cast<double>(manifest_.bytes()) / 1048576, run_->path(), checkpoint_name(manifest_.step));
    refused_.erase(manifest_.step);
    point_to_latest_checkpoint(folder_, manifest_.step);
  });
  // Behind the commit: it has been read again, so the ones before are not needed.
  if (committed)
    failures_.attempt("removing old checkpoints",
                      [&] { remove_old_checkpoints(folder_, output_.keep, output_.keep_every, refused_); });
  return committed;
}

}  // namespace longsight::launch
