#include "model/families/families.h"

namespace longsight::model {
namespace {

std::vector<Family> made_families() {
  std::vector<Family> all{llava_family(),      internvl_family(), internvl_chat_family(), qwen2_vl_family(),
                          qwen2_5_vl_family(), smolvlm_family(),  idefics3_family(),      paligemma_family()};
  for (Family& family : text_only_families()) all.push_back(std::move(family));
  return all;
}

}  // namespace

const std::vector<Family>& families() {
  static const std::vector<Family> all = made_families();
  return all;
}

const Family* find_family(const std::string& model_type) {
  for (const Family& family : families()) {
    if (family.model_type == model_type) return &family;
  }
  return nullptr;
}

const Family& family_of(const ModelConfig& config) {
  const Family* family = find_family(config.family);
  check(family != nullptr, "no model family {}", config.family);
  return *family;
}

}  // namespace longsight::model
