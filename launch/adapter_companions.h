// What adapters bring beside their weights: the chat template, processor files and tokenizer that they were
// trained with, which count instead of their model's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/data/chat/chat_source.h"

namespace longsight::launch {

struct AdapterCompanions {
  std::optional<data::ChatSource> chat = {};
  std::string processors = {};  // folder of the processor files; empty: the model's count
  std::string tokenizer = {};   // folder of a tokenizer that is not the model's; empty: the model's counts
  // Of these, what differs from the model's: "chat template", "image processor", "tokenizer".
  std::vector<std::string> differing = {};

  bool any() const { return chat || !processors.empty() || !tokenizer.empty(); }
};

// Of a PEFT folder (empty: none) whose model's files are in `base`. bad_data for files that are not what they
// must be.
AdapterCompanions adapter_companions(const std::string& adapter, const std::string& base);

}  // namespace longsight::launch
