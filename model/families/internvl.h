// InternVL as transformers computes it (InternVLForConditionalGeneration), and in the files of its original
// remote code (InternVLChatModel): a ViT with class token, layer scale and, in large ones, norms of q and k;
// pixel shuffle; a connector of a norm and two layers; Qwen2, Llama or InternLM2. Sources: transformers 5.23,
// models/internvl; configuration_internvl_chat.py and modeling_intern_vit.py of the model hub.
#pragma once

#include "model/config.h"

namespace longsight::model {

ModelConfig read_internvl_config(const nlohmann::json& file, const std::string& path);
ModelConfig read_internvl_chat_config(const nlohmann::json& file, const std::string& path);

// The original configuration does not name the image token; the tokenizer beside it does (<IMG_CONTEXT>).
// Without a tokenizer: the id that published models have.
void complete_internvl_chat(ModelConfig&, const std::string& folder);

}  // namespace longsight::model
