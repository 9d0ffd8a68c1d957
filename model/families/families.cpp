#include "model/families/families.h"

#include <array>

#include "model/families/idefics3.h"
#include "model/families/internvl.h"
#include "model/families/internvl_chat.h"
#include "model/families/llava.h"
#include "model/families/paligemma.h"
#include "model/families/qwen2_vl.h"
#include "model/families/text_only.h"

namespace longsight::model {
namespace {

std::string same_name(const std::string& name) {
  return name;
}

std::vector<FileTensor> same_tensor(const ModelConfig&, const Parameter& parameter) {
  return {{.name = parameter.name}};
}

}  // namespace

std::span<const Family> families() {
  static constexpr std::array<Family, 11> kFamilies{{
      {"llava", "LlavaForConditionalGeneration", "LlavaProcessor", "llava", read_llava_config,
       canonical_llava_name, nullptr, memory_llava_name, v5_llava_tensors, v5_llava_config},
      {"internvl", "InternVLForConditionalGeneration", "InternVLProcessor", "internvl", read_internvl_config,
       canonical_outer_name, nullptr, memory_llava_name, same_tensor, v5_internvl_config},
      {"internvl_chat", "InternVLChatModel", nullptr, "internvl2_5", read_internvl_chat_config, same_name,
       complete_internvl_chat, same_name, v5_internvl_chat_tensors, v5_internvl_chat_config,
       v5_internvl_chat_processor},
      {"qwen2_vl", "Qwen2VLForConditionalGeneration", "Qwen2VLProcessor", "qwen2-vl", read_qwen2_vl_config,
       canonical_qwen2_vl_name, nullptr, memory_qwen2_vl_name, same_tensor, v5_qwen2_vl_config},
      {"qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLProcessor", "qwen2-vl",
       read_qwen2_5_vl_config, canonical_qwen2_vl_name, nullptr, memory_qwen2_vl_name, same_tensor,
       v5_qwen2_vl_config},
      {"smolvlm", "SmolVLMForConditionalGeneration", "SmolVLMProcessor", "smolvlm", read_idefics3_config,
       same_name, nullptr, same_name, same_tensor, v5_idefics3_config},
      {"idefics3", "Idefics3ForConditionalGeneration", "Idefics3Processor", "idefics3", read_idefics3_config,
       same_name, nullptr, same_name, same_tensor, v5_idefics3_config},
      {"paligemma", "PaliGemmaForConditionalGeneration", "PaliGemmaProcessor", "paligemma",
       read_paligemma_config, canonical_llava_name, nullptr, memory_llava_name, v5_llava_tensors,
       v5_paligemma_config},
      {"llama", "LlamaForCausalLM", nullptr, "chatml", read_text_only_config, same_name, nullptr, same_name,
       same_tensor, v5_text_only_config},
      {"mistral", "MistralForCausalLM", nullptr, "chatml", read_text_only_config, same_name, nullptr,
       same_name, same_tensor, v5_text_only_config},
      {"qwen2", "Qwen2ForCausalLM", nullptr, "qwen2", read_text_only_config, same_name, nullptr, same_name,
       same_tensor, v5_text_only_config},
  }};
  return kFamilies;
}

const Family& family_of(const ModelConfig& config) {
  for (const Family& family : families()) {
    if (config.family == family.model_type) return family;
  }
  fail(ExitCode::internal, "no model family {}", config.family);
}

}  // namespace longsight::model
