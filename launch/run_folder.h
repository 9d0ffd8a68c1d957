// The folder of a training run: run.json, resolved configuration, plan, metrics, saves, final model. Written
// by rank 0.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "launch/config.h"
#include "launch/training/run_lock.h"
#include "parallel/checkpoint/manifest.h"
#include "runtime/base/json.h"
#include "runtime/base/stream_hash.h"

namespace longsight::launch {

// Writes a model into an empty folder, which appears under its name only when it is complete.
using FillFolder = std::function<void(const std::string& folder)>;

// Whether a folder was made by `train`.
bool is_run_folder(const std::string& path);

// Its facts as run.json holds them; null where there are none that can be read.
Json facts_of_run_folder(const std::string& path);

// The step of the last line of its metrics.jsonl; 0: there is none.
i64 last_step_of_run_folder(const std::string& path);

class RunFolder {
 public:
  enum class Begin {
    anew,    // one that holds a run already is moved aside to DIR.1, DIR.2, ...: no run writes over another
    goes_on  // the run that is there
  };

  // That the folder can become a run's: cannot_write for one that another run writes to, that holds something
  // else than a run, or where nothing can be written. Changes nothing.
  static void require_usable(const std::string& path, Begin begin = Begin::anew);

  // Makes the folder and locks it. A link is followed: the folder that it leads to is the run's. Errors as
  // above.
  explicit RunFolder(std::string path, Begin begin = Begin::anew);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  // Something else has taken the folder's name, so that what was written since is in another one.
  bool displaced() const { return displaced_; }
  // A run that fails before its first step leaves nothing: removes what was written, and what was moved aside
  // comes back.
  void discard() noexcept;
  void write_text(const std::string& name, const std::string& text) const;
  // Appends one line, written at once, so that a killed run keeps what it measured. cannot_write.
  void append_metrics(const nlohmann::ordered_json& line);
  void append_eval(const nlohmann::ordered_json& line);
  // The last lines of metrics.jsonl, at most so many, oldest first. Those that cannot be read are passed
  // over.
  std::vector<Json> last_metrics(std::size_t most);

  // Both files of lines as they are, on the disk.
  std::map<std::string, parallel::LogMark> mark_logs();
  // Back to what they were: what a run has written behind its checkpoint comes again. One that is not as it
  // was then loses its lines from `step` on (metrics.jsonl: from the step behind), with a warning.
  void cut_back(const std::map<std::string, parallel::LogMark>&, i64 step);

  std::string checkpoints();  // PATH/checkpoints, where the run is now; links followed

  void save(i64 step, const FillFolder&);  // PATH/saves/step-N
  void remove_old_saves(i64 keep);         // all but the last `keep`
  void save_best(const FillFolder&);       // PATH/best, in the place of the one before
  void save_final(const FillFolder&);      // PATH/model
  void save_adapter(const FillFolder&);    // PATH/adapter

 private:
  // A file of lines; opened when the first one comes.
  struct Lines {
    std::string name;
    int descriptor = -1;
    i64 bytes = 0;
    WideHash hash = {};  // of these
  };
  void open(Lines& file);
  void cut_back(Lines& file, const parallel::LogMark&, i64 first_step);
  void append(Lines& file, const nlohmann::ordered_json& line);
  // Before something is written by its path: a folder that has been moved is still the run's, and what has
  // its name now is not. Where it has been removed another one is made, beside what has taken its name.
  void follow();

  std::string path_, real_;  // as named; links followed
  int folder_ = -1;          // the folder itself, open
  std::string aside_;        // where the run before is now; empty: there was none
  bool made_ = false;        // there was no folder
  Begin begin_;
  bool displaced_ = false;
  std::unique_ptr<RunLock> lock_;
  Lines metrics_{"metrics.jsonl"}, eval_{"eval.jsonl"};
};

}  // namespace longsight::launch
