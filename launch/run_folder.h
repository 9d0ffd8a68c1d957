// The folder of a training run: resolved configuration, plan, metrics, saves, final model. Written by rank 0.
#pragma once

#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "launch/config.h"

namespace longsight::launch {

// Writes a model into an empty folder, which appears under its name only when it is complete.
using FillFolder = std::function<void(const std::string& folder)>;

class RunFolder {
 public:
  // Makes the folder. One that holds a run already is moved aside to DIR.1, DIR.2, ...: no run writes over
  // another.
  explicit RunFolder(std::string path);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  void write_text(const std::string& name, const std::string& text) const;
  // Appends one line; flushed at once, so that a killed run keeps what it measured. cannot_write.
  void append_metrics(const nlohmann::ordered_json& line);
  void append_eval(const nlohmann::ordered_json& line);

  // PATH/saves/step-N, and no more than `keep` of them, the oldest removed.
  void save(i64 step, i64 keep, const FillFolder&) const;
  void save_final(const FillFolder&) const;    // PATH/model
  void save_adapter(const FillFolder&) const;  // PATH/adapter

 private:
  void append(std::FILE*& file, const char* name, const nlohmann::ordered_json& line);
  std::string path_;
  std::FILE* metrics_ = nullptr;
  std::FILE* eval_ = nullptr;
};

}  // namespace longsight::launch
