#include "launch/adapter_companions.h"

#include <filesystem>

#include "runtime/base/json.h"
#include "runtime/data/chat/chat_files.h"
#include "runtime/data/text/tokenizer.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

// What the folder says of pictures; null: nothing.
Json processor_of(const std::string& folder) {
  const std::string file = folder + "/preprocessor_config.json", joint = folder + "/processor_config.json";
  if (fs::exists(file)) return read_json_file(file);
  if (!fs::exists(joint)) return nullptr;
  const Json json = read_json_file(joint);
  const Json* const image = optional_object(json, "image_processor", joint);
  return image == nullptr ? Json() : *image;
}

bool same(const std::optional<data::ChatSource>& a, const std::optional<data::ChatSource>& b) {
  return a && b && a->program == b->program && a->named == b->named;
}

}  // namespace

AdapterCompanions adapter_companions(const std::string& adapter, const std::string& base) {
  AdapterCompanions found;
  if (adapter.empty()) return found;
  found.chat = data::chat_of_folder(adapter);
  if (found.chat && !same(found.chat, data::chat_of_folder(base)))
    found.differing.emplace_back("chat template");
  if (const Json processor = processor_of(adapter); !processor.is_null()) {
    found.processors = adapter;
    if (processor != processor_of(base)) found.differing.emplace_back("image processor");
  }
  if (data::has_tokenizer(adapter) &&
      (!data::has_tokenizer(base) ||
       data::read_tokenizer(adapter)->fingerprint() != data::read_tokenizer(base)->fingerprint())) {
    found.tokenizer = adapter;
    found.differing.emplace_back("tokenizer");
  }
  return found;
}

}  // namespace longsight::launch
