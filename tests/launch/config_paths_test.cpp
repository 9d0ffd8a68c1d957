// Which texts of the configuration are files to read: input_paths names them one by one. One that it leaves
// out is not looked for before step 1, and config.yaml of the run folder does not hold in another folder.
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "launch/config.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

// Texts that are no files to read, with 0 for a place in a list. New keys belong here or into input_paths.
const std::set<std::string> kNoInputs{"model.connector",
                                      "model.allow_missing.0",
                                      "model.freeze.0",
                                      "model.lora.targets.0",
                                      "model.lora.train.0",
                                      "data.overlong",
                                      "data.bad",
                                      "data.images.alpha",
                                      "data.images.image_aspect_ratio",
                                      "train.guard.on_fault",
                                      "train.optimizer.schedule",
                                      "train.optimizer.groups.0.parameters",
                                      "train.precision",
                                      "parallel.vision.attention",
                                      "parallel.language.attention",
                                      "parallel.fusion.exchange",
                                      "parallel.fusion.split",
                                      "parallel.zero",
                                      "parallel.rules.0.blocks",
                                      "parallel.rules.0.attention",
                                      "memory.budget",
                                      "memory.recompute",
                                      "output.dir",
                                      "output.keep_best",
                                      "output.on_save_failure",
                                      "output.resume",
                                      "device"};

// Gives every text a value, and every list an entry.
template <class T>
void fill_texts(T& value, const std::string& key, std::set<std::string>& keys) {
  using Type = longsight::detail::FieldType<T>;
  if constexpr (std::is_same_v<T, std::string>) {
    value = "a.jinja";
    keys.insert(key);
  } else if constexpr (longsight::detail::HasFields<T>) {
    T::fields(value, [&](const char* name, auto& member) {
      fill_texts(member, key.empty() ? name : key + "." + name, keys);
    });
  } else if constexpr (Type::vector) {
    value.resize(1);
    fill_texts(value.front(), key + ".0", keys);
  } else if constexpr (Type::optional) {
    fill_texts(value.emplace(), key, keys);
  } else if constexpr (Type::or_auto) {
    fill_texts(value.value.emplace(), key, keys);
  } else if constexpr (Type::map) {
    fill_texts(value["x"], key + ".x", keys);
  }
}

bool of_a_record(const std::string& key) {
  return key.find(".0.tags.") != std::string::npos || key.ends_with(".0.name") ||
         key.ends_with(".0.ignore.0");
}

}  // namespace

TEST_CASE("every text of the configuration is a file to read, or known to be none") {
  Config config;
  std::set<std::string> texts, inputs;
  fill_texts(config, "", texts);
  for (const InputPath& input : input_paths(config)) inputs.insert(input.key);
  CHECK(inputs.size() > 20);
  for (const std::string& key : texts)
    CHECK_MESSAGE((inputs.contains(key) || kNoInputs.contains(key) || of_a_record(key)), key);
  for (const std::string& key : inputs) CHECK_MESSAGE(texts.contains(key), key);
  for (const std::string& key : kNoInputs) CHECK_MESSAGE((texts.contains(key) && !inputs.contains(key)), key);
}
