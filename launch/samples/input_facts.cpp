#include "launch/samples/input_facts.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "runtime/base/input_file.h"
#include "runtime/base/stream_hash.h"

namespace longsight::launch {
namespace {

void add_fields(const FieldNode& node, const std::string& key, std::vector<Fact>& facts) {
  const std::string prefix = key.empty() ? "" : key + ".";
  for (std::size_t i = 0; i < node.items.size(); ++i)
    add_fields(node.items[i], prefix + (node.keys.empty() ? fmt::format("{}", i) : node.keys[i]), facts);
  if (!node.scalar.empty()) facts.push_back({key, node.scalar});
}

}  // namespace

std::string content_of(const std::string& path, i64 offset, i64 bytes) {
  const InputFile file(path);
  StreamHash hash;
  std::string piece(1 << 18, '\0');
  i64 read = 0;
  while (bytes < 0 || read < bytes) {
    const i64 wanted = bytes < 0 ? std::ssize(piece) : std::min(bytes - read, i64{std::ssize(piece)});
    const i64 count = file.read_at(piece.data(), wanted, offset + read);
    if (count == 0) break;
    hash.add({piece.data(), static_cast<std::size_t>(count)});
    read += count;
  }
  return fmt::format("{} bytes with hash {:016x}", read, hash.digest());
}

std::vector<Fact> config_facts(const Config& config) {
  std::vector<Fact> facts;
  add_fields(detail::to_node(config), "", facts);
  return facts;
}

std::vector<Fact> folder_facts(const std::string& folder) {
  std::vector<Fact> facts;
  if (folder.empty()) return facts;
  const std::array<std::string, 4> kinds{".json", ".jinja", ".model", ".txt"};
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const bool wanted = std::find(kinds.begin(), kinds.end(), entry.path().extension()) != kinds.end();
    if (wanted && entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) facts.push_back({path.filename().string(), content_of(path.string())});
  return facts;
}

std::vector<Fact> set_facts(const DataSet& set, const std::string& name) {
  if (!set.ready())
    return {{name, fmt::format("{} samples with hash {:016x}", set.samples(), set.chat.data->fingerprint())}};
  std::vector<Fact> facts;
  for (std::size_t i = 0; i < set.files.size(); ++i)
    facts.push_back({fmt::format("{}, file {}", name, i + 1), content_of(set.files[i])});
  return facts;
}

}  // namespace longsight::launch
