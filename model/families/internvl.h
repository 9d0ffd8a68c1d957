// InternVL as transformers computes it (InternVLForConditionalGeneration), and in the files of its original
// remote code (InternVLChatModel): a ViT with class token, layer scale and, in large ones, norms of q and k;
// pixel shuffle; a connector of a norm and two layers; Qwen2, Llama or InternLM2. Sources: transformers 5.23,
// models/internvl; configuration_internvl_chat.py and modeling_intern_vit.py of the model hub.
#pragma once

#include "model/families/families.h"

namespace longsight::model {

ModelConfig read_internvl_config(const nlohmann::json& file, const std::string& path);
ModelConfig read_internvl_chat_config(const nlohmann::json& file, const std::string& path);

// The original configuration does not name the image token; the tokenizer beside it does (<IMG_CONTEXT>).
// Without a tokenizer: the id that published models have.
void complete_internvl_chat(ModelConfig&, const std::string& folder);

nlohmann::json v5_internvl_config(const ModelConfig&);
// The original form becomes the other one: q, k and v apart in both towers, InternLM2 as the Llama that it
// is.
std::vector<FileTensor> v5_internvl_chat_tensors(const ModelConfig&, const Parameter&);
nlohmann::json v5_internvl_chat_config(const ModelConfig&);
// The original code tiles images itself, whatever its preprocessor_config.json says.
nlohmann::json v5_internvl_chat_processor(const ModelConfig&, const nlohmann::json& preprocessor);

}  // namespace longsight::model
