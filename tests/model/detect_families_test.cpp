// The modules of a model of every family, in each form of its names.
#include <algorithm>

#include <doctest/doctest.h>

#include "model/files/checkpoint.h"
#include "model/files/detect.h"
#include "tests/support/families.h"
#include "tests/support/golden_models.h"

using namespace longsight;
using namespace longsight::model;

namespace {

// Kinds and names of all modules but norms, each once: "mlp a, mlp b, head c".
std::vector<std::string> found(const std::vector<DetectedModule>& modules) {
  std::vector<std::string> all;
  for (const DetectedModule& m : modules) {
    if (m.kind != ModuleKind::norm) all.push_back(fmt::format("{} {}", name_of(m.kind), m.name));
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<NamedShape> renamed(std::vector<NamedShape> shapes, const std::string& from,
                                const std::string& to) {
  for (NamedShape& shape : shapes) {
    if (shape.name.starts_with(from)) shape.name = to + shape.name.substr(from.size());
  }
  return shapes;
}

}  // namespace

TEST_CASE("the modules of every family are named for what they are, with the heads of the configuration") {
  for (const test::GoldenModel& family : test::golden_models()) {
    if (family.modules.empty()) continue;
    CAPTURE(family.name);
    const std::string folder = family.folder();
    const ModelConfig config = read_config(folder);
    const std::vector<NamedShape> shapes = named_shapes(io::SafetensorsSet(folder));
    const auto modules = detect_modules(shapes, config, folder);
    CHECK(found(modules) == family.modules);
    CHECK(found(detect_modules(shapes)) == family.modules);
    i64 held = 0, elements = 0;
    for (const DetectedModule& m : modules) {
      elements += m.elements;
      if (m.kind == ModuleKind::vision_attention) CHECK(m.heads == config.vision.heads);
      if (m.kind == ModuleKind::language_attention) CHECK(m.kv_heads == config.text.kv_heads);
    }
    for (const NamedShape& shape : shapes) held += shape.shape.elements();
    CHECK(elements == held);
  }
}

TEST_CASE("newer names of a family are the same modules") {
  const ModelConfig config = read_config(test::golden_folder("qwen2-vl"));
  auto shapes = named_shapes(io::SafetensorsSet(test::golden_folder("qwen2-vl")));
  shapes = renamed(renamed(shapes, "model.", "model.language_model."), "visual.", "model.visual.");
  CHECK(found(detect_modules(shapes, config, "qwen")) ==
        std::vector<std::string>{
            "embedding model.language_model.embed_tokens", "embedding model.visual.patch_embed",
            "head lm_head", "language_attention model.language_model.layers.{0-3}.self_attn",
            "mlp model.language_model.layers.{0-3}.mlp", "mlp model.visual.blocks.{0-2}.mlp",
            "projection model.visual.merger", "vision_attention model.visual.blocks.{0-2}.attn"});
  const ModelConfig llava = read_config(test::golden_folder("llava-clip-llama"));
  shapes = named_shapes(io::SafetensorsSet(test::golden_folder("llava-clip-llama")));
  shapes = renamed(shapes, "vision_tower.vision_model.", "vision_tower.");
  const auto modules = detect_modules(shapes, llava, "llava");
  for (const DetectedModule& m : modules) CHECK_MESSAGE(m.kind != ModuleKind::other, m.name);
  CHECK(std::count_if(modules.begin(), modules.end(), [](const DetectedModule& m) {
          return m.name == "vision_tower.encoder.layers.{0-2}.self_attn" && m.heads == 4;
        }) == 1);
}

TEST_CASE("only a pooling head, which never runs, is of no kind") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    CAPTURE(family.name);
    const ModelConfig config = read_model_config(family.config, "tiny");
    const Vlm model(config);
    const bool vision = config.has_vision();
    i64 attention = 0, projection = 0;
    for (const DetectedModule& m : detect_modules(named_shapes(model.parameters()), config, "tiny")) {
      if (m.kind == ModuleKind::other) CHECK_MESSAGE(m.name.find(".head") != std::string::npos, m.name);
      attention += m.kind == ModuleKind::vision_attention || m.kind == ModuleKind::language_attention;
      projection += m.kind == ModuleKind::projection;
    }
    CHECK(attention == (vision ? 2 : 1));
    CHECK(projection == (vision ? 1 : 0));
  }
}
