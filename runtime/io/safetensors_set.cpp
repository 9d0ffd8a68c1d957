#include <algorithm>
#include <filesystem>
#include <numeric>

#include "runtime/base/json.h"
#include "runtime/io/safetensors.h"

namespace longsight::io {
namespace {

namespace fs = std::filesystem;

constexpr i64 kMaxIndexBytes = i64{64} << 20;

// The path of a shard that an index names. An index comes from a stranger: it must not reach beyond its
// folder.
std::string shard_path(const fs::path& folder, const std::string& index, const std::string& name) {
  const bool plain =
      !name.empty() && name != "." && name != ".." && name.find_first_of("/\\") == std::string::npos &&
      std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  require(plain, ExitCode::bad_data, "{}: {} is not the plain name of a file in the same folder", index,
          Json(name).dump());
  const fs::path path = folder / name;
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  require(!error, ExitCode::missing_input, "cannot read {}, named in {}: {}", path.string(), index,
          error.message());
  const fs::path home = fs::canonical(folder, error);
  require(!error, ExitCode::missing_input, "cannot read {}: {}", folder.string(), error.message());
  const bool in_folder = real.parent_path() == home;
  const bool in_cache = home.parent_path().filename() == "snapshots" &&
                        real.parent_path() == home.parent_path().parent_path() / "blobs";
  require(in_folder || in_cache, ExitCode::bad_data, "{}: {} is a link that leads out of the folder, to {}",
          index, name, real.string());
  return path.string();
}

std::vector<SafetensorsFile> open_shards(const fs::path& folder, const std::string& index) {
  const Json document = read_json_file(index, {.max_bytes = kMaxIndexBytes, .big_integers = true});
  const Json& weight_map = require_object(document, "weight_map", index);
  std::map<std::string, std::size_t> shards;
  for (const auto& [name, file] : weight_map.items()) {
    require(file.is_string(), ExitCode::bad_data, "{}: the file of tensor \"{}\" is not a string", index,
            name);
    shards.emplace(file.get_ref<const std::string&>(), 0);
  }
  std::vector<SafetensorsFile> files;
  for (auto& [file, number] : shards) {
    number = files.size();
    files.emplace_back(shard_path(folder, index, file));
  }
  for (const auto& [name, file] : weight_map.items()) {
    const SafetensorsFile& shard = files[shards.at(file.get_ref<const std::string&>())];
    require(shard.find(name) != nullptr, ExitCode::bad_data, "{}: tensor \"{}\" should be in {}, but is not",
            index, name, shard.path());
  }
  for (const auto& [file, number] : shards) {
    for (const TensorEntry& entry : files[number].entries()) {
      const auto listed = weight_map.find(entry.name);
      require(listed != weight_map.end() && *listed == file, ExitCode::bad_data,
              "{}: tensor \"{}\" is in {}, but the index {}", index, entry.name, files[number].path(),
              listed == weight_map.end() ? "does not list it" : "says " + listed->get<std::string>());
    }
  }
  return files;
}

}  // namespace

SafetensorsSet::SafetensorsSet(const std::string& path) : path_(path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    files_.emplace_back(path);
  } else {
    const fs::path folder(path), single = folder / "model.safetensors",
                                 index = folder / "model.safetensors.index.json";
    if (fs::exists(single, ignored)) {
      files_.emplace_back(single.string());
    } else {
      require(fs::exists(index, ignored), ExitCode::missing_input,
              "{} has neither model.safetensors nor model.safetensors.index.json", path);
      files_ = open_shards(folder, index.string());
    }
  }
  if (files_.size() == 1) return;
  for (std::size_t f = 0; f < files_.size(); ++f) {
    entries_.insert(entries_.end(), files_[f].entries().begin(), files_[f].entries().end());
    owners_.insert(owners_.end(), files_[f].entries().size(), f);
  }
  std::vector<std::size_t> order(entries_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return entries_[a].name < entries_[b].name; });
  std::vector<TensorEntry> entries;
  std::vector<std::size_t> owners;
  for (const std::size_t i : order) {
    entries.push_back(std::move(entries_[i]));
    owners.push_back(owners_[i]);
  }
  entries_ = std::move(entries);
  owners_ = std::move(owners);
}

const TensorEntry* SafetensorsSet::find(std::string_view name) const {
  const auto& all = entries();
  const auto found =
      std::lower_bound(all.begin(), all.end(), name,
                       [](const TensorEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return found != all.end() && found->name == name ? &*found : nullptr;
}

const SafetensorsFile& SafetensorsSet::file_of(std::string_view name) const {
  if (files_.size() == 1) return files_[0];
  const TensorEntry* entry = find(name);
  require(entry != nullptr, ExitCode::bad_data, "{}: no tensor \"{}\" in any of its {} files", path_, name,
          files_.size());
  return files_[owners_[static_cast<std::size_t>(entry - entries_.data())]];
}

void SafetensorsSet::read(std::string_view name, Tensor into) const {
  file_of(name).read(name, into);
}

OwnedTensor SafetensorsSet::read(std::string_view name) const {
  return file_of(name).read(name);
}

void SafetensorsSet::read_range(std::string_view name, i64 first, Tensor into) const {
  file_of(name).read_range(name, first, into);
}

}  // namespace longsight::io
