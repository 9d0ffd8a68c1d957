// The language models inside of the families, and alone: Llama, Mistral, Qwen2, Gemma, InternLM2. Defaults
// are those of the configuration classes of transformers 5.23.
#pragma once

#include "model/config.h"
#include "model/config_reader.h"

namespace longsight::model {

enum class TextKind { llama, mistral, qwen2, qwen2_vl, gemma, internlm2 };

// By model_type of a text_config; absent: `fallback`. bad_data for others, with the known ones.
TextKind text_kind(ConfigReader&, TextKind fallback);

// `model` is the prefix of all names but the head's ("language_model.model"), `head` that of the head
// ("language_model.lm_head").
TextConfig read_text(ConfigReader&, TextKind, const std::string& model, const std::string& head,
                     std::vector<std::string>& warnings);

}  // namespace longsight::model
