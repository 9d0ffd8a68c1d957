// preprocessor_config.json of a folder that was trained: the keys of transformers, and for options that it
// has no key for an object "longsight" with the keys of data.images.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "runtime/data/image/image_options.h"

namespace longsight::data {

// What the models of this image processor were trained with where nothing else is said: white for Qwen's,
// whose own code puts it there.
Alpha usual_alpha(ImageRecipe::Processor processor);

// The object "longsight" of the file; empty where there is none. bad_data naming `where` and the key.
ImageOptions own_options(const nlohmann::json& file, std::string_view where);

// A file from which image_recipe_from_json and own_options give back the recipe and the options. What
// `before` says beside pixels (classes of processors) stays. `keys_of_class`: the recipe is read from the
// file; otherwise (InternVL's original form, of which config.json says it) `before` stays, and only the
// object "longsight" is added.
nlohmann::json preprocessor_file(const ImageRecipe& recipe, const DecodeOptions& decode,
                                 const nlohmann::json& before, bool keys_of_class = true);

}  // namespace longsight::data
