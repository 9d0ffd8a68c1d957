#include "launch/samples/same_on_all_ranks.h"

#include <algorithm>

#include <oneapi/dnnl/dnnl.h>
#include <xxhash.h>

#include "launch/samples/input_facts.h"
#include "runtime/base/stream_hash.h"
#include "runtime/data/records/parallel_samples.h"

namespace longsight::launch {
namespace {

// Evenly spread over the set, the same on every rank.
constexpr i64 kSamplesCompared = 512;  // of a set

std::string content_of_picture(const data::MediaFile& file) {
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
        facts.push_back({fmt::format("picture {} of {}", facts.size(), where), content_of_picture(file)});
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
  require_agreement(config_facts(config), ExitCode::usage,
                    "give every rank the same configuration file and the same overrides", world, {});
}

void require_same_inputs(const DataSets& sets, const std::string& folder, parallel::ProcessGroup& world) {
  if (world.size() == 1) return;
  std::vector<Fact> facts;
  const auto add = [&facts](const std::vector<Fact>& more) {
    facts.insert(facts.end(), more.begin(), more.end());
  };
  for (const std::string& place : {folder, sets.loaded().config.model.adapter}) add(folder_facts(place));
  for (const DataSet* set : sets.all()) {
    add(set_facts(*set, fmt::format("data.{} ({})", set->held_out ? "eval" : "train", set->name)));
    if (!set->ready()) add_samples(*set, facts);
  }
  require_agreement(facts, ExitCode::bad_data, "copy the same files to every node", world, {});
}

}  // namespace longsight::launch
