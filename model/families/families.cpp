#include "model/families/families.h"

#include <array>

#include "model/families/idefics3.h"
#include "model/families/internvl.h"
#include "model/families/llava.h"
#include "model/families/paligemma.h"
#include "model/families/qwen2_vl.h"
#include "model/families/text_only.h"

namespace longsight::model {
namespace {

std::string same_name(const std::string& name) {
  return name;
}

}  // namespace

std::span<const Family> families() {
  static constexpr std::array<Family, 11> kFamilies{{
      {"llava", "LlavaForConditionalGeneration", "LlavaProcessor", "llava", read_llava_config,
       canonical_llava_name, nullptr, v5_llava_name, memory_llava_name},
      {"internvl", "InternVLForConditionalGeneration", "InternVLProcessor", "internvl", read_internvl_config,
       canonical_outer_name, nullptr, same_name, memory_llava_name},
      {"internvl_chat", "InternVLChatModel", nullptr, "internvl2_5", read_internvl_chat_config, same_name,
       complete_internvl_chat, same_name, same_name},
      {"qwen2_vl", "Qwen2VLForConditionalGeneration", "Qwen2VLProcessor", "qwen2-vl", read_qwen2_vl_config,
       canonical_qwen2_vl_name, nullptr, same_name, memory_qwen2_vl_name},
      {"qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLProcessor", "qwen2-vl",
       read_qwen2_5_vl_config, canonical_qwen2_vl_name, nullptr, same_name, memory_qwen2_vl_name},
      {"smolvlm", "SmolVLMForConditionalGeneration", "SmolVLMProcessor", "smolvlm", read_idefics3_config,
       same_name, nullptr, same_name, same_name},
      {"idefics3", "Idefics3ForConditionalGeneration", "Idefics3Processor", "idefics3", read_idefics3_config,
       same_name, nullptr, same_name, same_name},
      {"paligemma", "PaliGemmaForConditionalGeneration", "PaliGemmaProcessor", "paligemma",
       read_paligemma_config, canonical_llava_name, nullptr, v5_llava_name, memory_llava_name},
      {"llama", "LlamaForCausalLM", nullptr, "chatml", read_text_only_config, same_name, nullptr, same_name,
       same_name},
      {"mistral", "MistralForCausalLM", nullptr, "chatml", read_text_only_config, same_name, nullptr,
       same_name, same_name},
      {"qwen2", "Qwen2ForCausalLM", nullptr, "qwen2", read_text_only_config, same_name, nullptr, same_name,
       same_name},
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
