// preprocessor_config.json, as a recipe for pictures and for videos.
#include "runtime/base/json.h"
#include "runtime/data/image/image_recipe.h"
#include "runtime/data/image/preprocessor_file.h"
#include "tests/fuzz/targets.h"

void longsight::fuzz::image_processor(Bytes bytes) {
  read_or_refuse([&] {
    const Json json = parse_json(text_of(bytes), "p");
    read_or_refuse([&] { data::image_recipe_from_json(json, "p"); });
    read_or_refuse([&] { data::video_recipe_from_json(json, "p"); });
    read_or_refuse([&] { data::own_options(json, "p"); });
  });
}
