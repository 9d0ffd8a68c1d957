// Says that a living process owns a run folder: FOLDER/lock, with its host, process and start, locked with
// flock and touched every half minute.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace longsight::launch {

class RunLock {
 public:
  // Takes the lock of a folder that is there. cannot_write, naming the owner and the remedy, where the owner
  // lives: on this host as long as its process does; on another one as long as it touches the file. What a
  // dead one has left is taken over, with a line in the log.
  explicit RunLock(const std::string& folder);
  // Removes the file.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  // The folder has another name now.
  void moved_to(const std::string& folder);

  // Throws as the constructor would; changes nothing.
  static void require_free(const std::string& folder);

  // Whether a run has written this file; not somebody's file of that name.
  static bool is_lock(const std::string& file);

 private:
  void touch();  // until the end

  std::string path_;
  int descriptor_ = -1;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool end_ = false;
  std::thread heart_;
};

}  // namespace longsight::launch
