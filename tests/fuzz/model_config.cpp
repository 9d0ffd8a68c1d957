// A model's config.json, of every family; what was read is written as transformers 5 would.
#include "model/config.h"
#include "model/families/families.h"
#include "runtime/base/json.h"
#include "tests/fuzz/targets.h"

void longsight::fuzz::model_config(Bytes bytes) {
  read_or_refuse([&] {
    const nlohmann::json json = parse_json(text_of(bytes), "config.json");
    const model::ModelConfig config = model::read_model_config(json, "config.json");
    const model::Family& family = model::family_of(config);
    read_or_refuse([&] { family.v5_config(family, config); });
  });
}
