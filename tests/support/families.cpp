#include "tests/support/families.h"

#include "runtime/base/json.h"

namespace longsight::test {
namespace {

const Json& file() {
  static const Json json = read_json_file("tests/families.json");
  return json;
}

std::vector<std::string> strings(const Json& object, const char* key) {
  return object.value(key, std::vector<std::string>{});
}

}  // namespace

const std::vector<GoldenModel>& golden_models() {
  static const std::vector<GoldenModel> all = [] {
    std::vector<GoldenModel> made;
    for (const Json& golden : file()["goldens"])
      made.push_back({golden["name"], strings(golden, "modules"), strings(golden, "generations")});
    return made;
  }();
  return all;
}

const std::vector<PublishedModel>& published_models() {
  static const std::vector<PublishedModel> all = [] {
    std::vector<PublishedModel> made;
    for (const Json& p : file()["published"]) {
      made.push_back(
          {p["name"], p["parameters"], p["vision_heads"], p["heads"], p["kv_heads"], p["features"]});
    }
    return made;
  }();
  return all;
}

const std::vector<TinyFamily>& tiny_families() {
  static const std::vector<TinyFamily> all = [] {
    std::vector<TinyFamily> made;
    for (const Json& model : file()["models"]) {
      if (model.value("equivalence", false))
        made.push_back({model["name"], model["config"], model.value("v5", "")});
    }
    return made;
  }();
  return all;
}

const nlohmann::json& tiny_family(const std::string& name) {
  for (const TinyFamily& family : tiny_families()) {
    if (family.name == name) return family.config;
  }
  fail(ExitCode::internal, "no tiny model {}", name);
}

}  // namespace longsight::test
