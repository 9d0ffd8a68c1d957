#include "model/families/families.h"

#include <array>

#include "model/families/llava.h"

namespace longsight::model {

std::span<const Family> families() {
  static constexpr std::array<Family, 1> kFamilies{{
      {"llava", read_llava_config, canonical_llava_name},
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
