// InternVL in the files of its original remote code (InternVLChatModel). Sources:
// configuration_internvl_chat.py, modeling_internvl_chat.py, modeling_intern_vit.py and modeling_internlm2.py
// of the model hub.
#pragma once

#include "model/families/families.h"

namespace longsight::model {

ModelConfig read_internvl_chat_config(const nlohmann::json& file, const std::string& path);

// The configuration does not name the image token; the tokenizer beside it does (<IMG_CONTEXT>). Without a
// tokenizer: the id that published models have.
void complete_internvl_chat(ModelConfig&, const std::string& folder);

// The original form becomes the one of transformers: q, k and v apart in both towers, InternLM2 as the Llama
// that it is.
std::vector<FileTensor> v5_internvl_chat_tensors(const ModelConfig&, const Parameter&);
nlohmann::json v5_internvl_chat_config(const ModelConfig&);
// The original code tiles images itself, whatever its preprocessor_config.json says.
nlohmann::json v5_internvl_chat_processor(const ModelConfig&, const nlohmann::json& preprocessor);

}  // namespace longsight::model
