#include "launch/run_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "runtime/base/log.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {

namespace fs = std::filesystem;

RunFolder::RunFolder(std::string path) : path_(std::move(path)) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  std::error_code error;
  if (fs::exists(path_ + "/config.yaml") || fs::exists(path_ + "/metrics.jsonl")) {
    i64 n = 1;
    while (fs::exists(fmt::format("{}.{}", path_, n))) ++n;
    const std::string aside = fmt::format("{}.{}", path_, n);
    fs::rename(path_, aside, error);
    require(!error, ExitCode::cannot_write, "{} cannot be moved to {}: {}", path_, aside, error.message());
    log_info("{} held a run already: moved to {}", path_, aside);
  }
  io::ensure_folder(path_);
}

RunFolder::~RunFolder() {
  if (metrics_ != nullptr) std::fclose(metrics_);
  if (eval_ != nullptr) std::fclose(eval_);
}

void RunFolder::write_text(const std::string& name, const std::string& text) const {
  io::write_file(path_ + "/" + name, text);
}

void RunFolder::append(std::FILE*& file, const char* name, const nlohmann::ordered_json& line) {
  const std::string path = path_ + "/" + name;
  if (file == nullptr) file = std::fopen(path.c_str(), "a");
  const std::string text = line.dump() + "\n";
  const bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size() &&
                       std::fflush(file) == 0;
  require(written, ExitCode::cannot_write, "{}: {}", path, std::strerror(errno));
}

void RunFolder::append_metrics(const nlohmann::ordered_json& line) {
  append(metrics_, "metrics.jsonl", line);
}
void RunFolder::append_eval(const nlohmann::ordered_json& line) {
  append(eval_, "eval.jsonl", line);
}

namespace {

void fill(const std::string& path, const FillFolder& write) {
  io::TemporaryFolder temporary(path);
  write(temporary.path());
  temporary.commit();
}

}  // namespace

void RunFolder::save(i64 step, i64 keep, const FillFolder& write) const {
  const fs::path saves = fs::path(path_) / "saves";
  io::ensure_folder(saves.string());
  fill((saves / fmt::format("step-{:08}", step)).string(), write);
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(saves)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.find('.') == std::string::npos) all.push_back(entry.path());
  }
  std::sort(all.begin(), all.end());  // names have equal length: by step
  for (i64 i = 0; i + keep < static_cast<i64>(all.size()); ++i)
    fs::remove_all(all[static_cast<std::size_t>(i)]);
}

void RunFolder::save_adapter(const FillFolder& write) const {
  fill(path_ + "/adapter", write);
}

void RunFolder::save_final(const FillFolder& write) const {
  fill(path_ + "/model", write);
}

}  // namespace longsight::launch
