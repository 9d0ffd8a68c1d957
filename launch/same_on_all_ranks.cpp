#include "launch/same_on_all_ranks.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include <oneapi/dnnl/dnnl.h>

#include "parallel/agreement.h"
#include "runtime/base/input_file.h"
#include "runtime/base/stream_hash.h"

namespace longsight::launch {
namespace {

using parallel::Fact;

std::string content_of(const std::string& path) {
  InputFile file(path);
  StreamHash hash;
  std::string piece(1 << 20, '\0');
  i64 bytes = 0;
  while (const i64 count = file.read(piece.data(), static_cast<i64>(piece.size()))) {
    hash.add({piece.data(), static_cast<std::size_t>(count)});
    bytes += count;
  }
  return fmt::format("{} bytes with hash {:016x}", bytes, hash.digest());
}

void add_fields(const FieldNode& node, const std::string& key, std::vector<Fact>& facts) {
  const std::string prefix = key.empty() ? "" : key + ".";
  for (std::size_t i = 0; i < node.items.size(); ++i)
    add_fields(node.items[i], prefix + (node.keys.empty() ? fmt::format("{}", i) : node.keys[i]), facts);
  if (!node.scalar.empty()) facts.push_back({key, node.scalar});  // what is empty is not there
}

// Those that make tokens and pixels.
void add_files(const std::string& folder, std::vector<Fact>& facts) {
  const std::array<std::string, 4> kinds{".json", ".jinja", ".model", ".txt"};
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const bool wanted = std::find(kinds.begin(), kinds.end(), entry.path().extension()) != kinds.end();
    if (wanted && entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) facts.push_back({path.filename().string(), content_of(path.string())});
}

}  // namespace

void require_same_program(parallel::ProcessGroup& world) {
  if (world.size() == 1) return;
  const dnnl_version_t& dnnl = *dnnl_version();
  require_agreement(
      {{"the program's file", content_of("/proc/self/exe")},
       {"oneDNN's version", fmt::format("{}.{}.{} {}", dnnl.major, dnnl.minor, dnnl.patch, dnnl.hash)}},
      ExitCode::usage, "start the same build on every node", world, {});
}

void require_same_config(const Config& config, parallel::ProcessGroup& world) {
  if (world.size() == 1) return;
  std::vector<Fact> facts;
  add_fields(detail::to_node(config), "", facts);
  require_agreement(facts, ExitCode::usage,
                    "give every rank the same configuration file and the same overrides", world, {});
}

void require_same_inputs(const DataSets& sets, const std::string& folder, parallel::ProcessGroup& world) {
  if (world.size() == 1) return;
  std::vector<Fact> facts;
  for (const std::string& place : {folder, sets.loaded().config.model.adapter}) {
    if (!place.empty()) add_files(place, facts);
  }
  for (const DataSet* set : sets.all()) {
    const std::string name = fmt::format("data.{} ({})", set->held_out ? "eval" : "train", set->name);
    if (!set->ready())
      facts.push_back(
          {name, fmt::format("{} samples with hash {:016x}", set->samples(), set->chat.data->fingerprint())});
    for (const std::string& file : set->files) facts.push_back({file, content_of(file)});
  }
  require_agreement(facts, ExitCode::bad_data, "copy the same files to every node", world, {});
}

}  // namespace longsight::launch
