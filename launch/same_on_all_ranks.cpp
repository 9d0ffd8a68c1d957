#include "launch/same_on_all_ranks.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include <oneapi/dnnl/dnnl.h>
#include <xxhash.h>

#include "parallel/agreement.h"
#include "runtime/base/input_file.h"
#include "runtime/base/stream_hash.h"
#include "runtime/data/records/parallel_samples.h"

namespace longsight::launch {
namespace {

using parallel::Fact;

// Of the file, or `bytes` of it from `offset` on (-1: to its end).
std::string content_of(const std::string& path, i64 offset = 0, i64 bytes = -1) {
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

// Evenly spread over the set, the same on every rank.
constexpr i64 kSamplesCompared = 512;  // of a set

std::string content_of(const data::MediaFile& file) {
  if (file.content) return fmt::format("{:016x}", XXH3_64bits(file.content->data(), file.content->size()));
  return content_of(file.path, file.offset, file.bytes);
}

std::string text_hash(const data::ChatSample& chat) {
  StreamHash hash;
  for (const data::ChatMessage& message : chat.messages) hash.add(text_of(message) + '\0');
  return fmt::format("a text with hash {:016x}", hash.digest());
}

// Paths are not said: they may lead through folders of the node.
std::vector<Fact> facts_of(const DataSet& set, i64 index) {
  const std::string where = set.chat.data->where(index);
  std::vector<Fact> facts;
  try {
    const data::ChatSample chat = set.chat.data->sample(index);
    facts.push_back({where, text_hash(chat)});
    for (const data::ChatMedia& media : chat.media) {
      for (const data::MediaFile& file : media.frames)
        facts.push_back({fmt::format("picture {} of {}", facts.size(), where), content_of(file)});
    }
  } catch (const Error&) {  // where it is the same on all ranks, the check of the samples says why
    facts.push_back({where + " to its end", "not to be read"});
  }
  return facts;
}

// What the fingerprint of a set does not know of: files that its records name, and contents of archives.
void add_samples(const DataSet& set, std::vector<Fact>& facts) {
  const i64 samples = set.samples(), compared = std::min(samples, kSamplesCompared);
  std::vector<std::vector<Fact>> found(static_cast<std::size_t>(compared));
  data::parallel_samples(
      compared,
      [&](i64 i, int) { found[static_cast<std::size_t>(i)] = facts_of(set, i * samples / compared); },
      [](i64, const std::exception_ptr& error) {
        if (error) std::rethrow_exception(error);
      });
  for (const std::vector<Fact>& of_sample : found)
    facts.insert(facts.end(), of_sample.begin(), of_sample.end());
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
    if (!set->ready()) {
      facts.push_back(
          {name, fmt::format("{} samples with hash {:016x}", set->samples(), set->chat.data->fingerprint())});
      add_samples(*set, facts);
    }
    for (const std::string& file : set->files) facts.push_back({file, content_of(file)});
  }
  require_agreement(facts, ExitCode::bad_data, "copy the same files to every node", world, {});
}

}  // namespace longsight::launch
