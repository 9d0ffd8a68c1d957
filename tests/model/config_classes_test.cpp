// The rows of model/families against the configuration classes of transformers, as
// scripts/check_defaults.py wrote them: every key and every default.
#include <algorithm>

#include <doctest/doctest.h>

#include "model/families/families.h"
#include "model/families/text_rows.h"
#include "model/families/tower_rows.h"
#include "runtime/base/json.h"
#include "tests/support/families.h"

using namespace longsight;
using namespace longsight::model;

namespace {

const Json& classes() {
  static const Json file = read_json_file("tests/goldens/config_classes.json");
  return file["classes"];
}

const Json& class_of(const std::string& type) {
  INFO(type, ": run scripts/check_defaults.py --write after a model of it is in tests/families.json");
  REQUIRE(classes().contains(type));
  return classes()[type];
}

}  // namespace

TEST_CASE("a language model has the keys, defaults and base of RoPE of its class") {
  for (const TextRow& row : text_rows()) {
    CAPTURE(row.type());
    if (!row.v5_type.empty()) continue;  // code of its own on the model hub
    for (const std::string& type : row.types) {
      if (!classes().contains(type) || classes()[type].contains("absent text_config")) continue;
      if (find_family(type) != nullptr && !find_family(type)->defaults.empty()) continue;
      CHECK(Json::diff(row.defaults, class_of(type)["defaults"]) == Json::array());
      CHECK(row.rope_theta == class_of(type)["rope_theta"].get<double>());
    }
    CHECK(class_of(row.type()).contains("rope_theta"));
  }
}

TEST_CASE("a tower has the keys and defaults of its class") {
  for (const TowerRow& row : tower_rows()) {
    CAPTURE(row.type());
    if (row.v5_type.empty())
      CHECK(Json::diff(row.defaults, class_of(row.type())["defaults"]) == Json::array());
  }
}

TEST_CASE("a family has the keys and defaults of its class, and its absent parts") {
  for (const Family& family : families()) {
    CAPTURE(family.model_type);
    if (family.defaults.empty() || family.model_type == "internvl_chat") continue;
    const Json& expected = class_of(family.model_type);
    CHECK(Json::diff(family.defaults, expected["defaults"]) == Json::array());
    CHECK(Json::diff(family.absent_vision, expected.value("absent vision_config", Json::object())) ==
          Json::array());
    CHECK(Json::diff(family.absent_text, expected.value("absent text_config", Json::object())) ==
          Json::array());
  }
}

TEST_CASE(
    "every family and every language model has a tiny model among those that are tested on several ranks") {
  std::vector<std::string> seen;
  for (const test::TinyFamily& tiny : test::tiny_families()) {
    const ModelConfig config = read_model_config(tiny.config, tiny.name);
    seen.push_back(config.family);
    seen.push_back(config.text.type);
  }
  const auto tested = [&](const std::string& type) {
    return std::find(seen.begin(), seen.end(), type) != seen.end();
  };
  for (const TextRow& row : text_rows()) CHECK_MESSAGE(tested(row.type()), row.type());
  for (const Family& family : families()) {
    // One code reads both; a language model alone is its row.
    if (family.model_type == "idefics3" || find_text_row(family.model_type) != nullptr) continue;
    CHECK_MESSAGE(tested(family.model_type), family.model_type);
  }
}
