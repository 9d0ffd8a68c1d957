#include "model/files/detect.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "model/vlm.h"
#include "runtime/base/json.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::model;

namespace {

ModelConfig emoji() {
  return read_model_config(read_json_file("configs/models/emoji.json"), "emoji.json");
}

ModelConfig golden() {
  const std::string path = "tests/goldens/llava-clip-llama/model/config.json";
  return read_model_config(read_json_file(path), path);
}

std::vector<NamedShape> golden_tensors() {
  return named_shapes(io::SafetensorsSet("tests/goldens/llava-clip-llama/model"));
}

std::vector<NamedShape> tensors(std::vector<std::string> names) {
  std::vector<NamedShape> all;
  for (std::string& name : names) all.push_back({std::move(name), Shape({2, 3})});
  return all;
}

const DetectedModule& module(const std::vector<DetectedModule>& all, const std::string& name) {
  for (const DetectedModule& m : all) {
    if (m.name == name) return m;
  }
  FAIL("no module " << name << "\n" << module_table(all));
  return all.front();
}

// As names of one block, the block's number for {}.
std::vector<std::string> repeated(const std::vector<std::string>& names, int blocks) {
  std::vector<std::string> all;
  for (int i = 0; i < blocks; ++i) {
    for (std::string name : names) {
      if (const auto at = name.find("{}"); at != std::string::npos) name.replace(at, 2, std::to_string(i));
      all.push_back(name);
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace

TEST_CASE("the modules of a LLaVA checkpoint are found with their heads") {
  const auto all = detect_modules(golden_tensors(), golden(), "golden");
  const auto& vision = module(all, "vision_tower.vision_model.encoder.layers.{0-2}.self_attn");
  CHECK(vision.kind == ModuleKind::vision_attention);
  CHECK(vision.blocks == 3);
  CHECK(vision.heads == 4);
  CHECK(vision.kv_heads == 4);
  CHECK(vision.weights == "k_proj out_proj q_proj v_proj");
  CHECK(vision.elements == 3 * 4 * (48 * 48 + 48));
  const auto& language = module(all, "language_model.model.layers.{0-2}.self_attn");
  CHECK(language.kind == ModuleKind::language_attention);
  CHECK(language.heads == 4);
  CHECK(language.kv_heads == 2);
  CHECK(module(all, "multi_modal_projector").kind == ModuleKind::projection);
  CHECK(module(all, "multi_modal_projector").weights == "linear_1 linear_2");
  CHECK(module(all, "vision_tower.vision_model.encoder.layers.{0-2}.mlp").kind == ModuleKind::mlp);
  CHECK(module(all, "language_model.model.layers.{0-2}.mlp").kind == ModuleKind::mlp);
  CHECK(module(all, "vision_tower.vision_model.embeddings").kind == ModuleKind::embedding);
  CHECK(module(all, "language_model.model.embed_tokens").kind == ModuleKind::embedding);
  CHECK(module(all, "language_model.lm_head").kind == ModuleKind::head);
  CHECK(module(all, "language_model.model.norm").kind == ModuleKind::norm);
  CHECK(module(all, "vision_tower.vision_model.pre_layrnorm").kind == ModuleKind::norm);
  for (const DetectedModule& m : all) CHECK_MESSAGE(m.kind != ModuleKind::other, m.name);
  i64 elements = 0, held = 0;
  for (const DetectedModule& m : all) elements += m.elements;
  for (const NamedShape& t : golden_tensors()) held += t.shape.elements();
  CHECK(elements == held);
}

TEST_CASE("attention is found from tensor names alone, in the forms of other families") {
  struct Form {
    const char* name;
    std::vector<std::string> names;
    std::string vision, language, projection;
  };
  const Form forms[] = {
      {"Qwen2-VL",
       {"visual.patch_embed.proj.weight", "visual.blocks.{}.attn.qkv.weight",
        "visual.blocks.{}.attn.proj.weight", "visual.blocks.{}.mlp.fc1.weight", "visual.merger.mlp.0.weight",
        "visual.merger.ln_q.weight", "model.layers.{}.self_attn.q_proj.weight",
        "model.layers.{}.self_attn.k_proj.weight", "model.embed_tokens.weight", "lm_head.weight"},
       "visual.blocks.{0-3}.attn",
       "model.layers.{0-3}.self_attn",
       "visual.merger"},
      {"InternVL",
       {"vision_tower.encoder.layer.{}.attention.q_proj.weight",
        "vision_tower.encoder.layer.{}.attention.projection_layer.weight",
        "vision_tower.encoder.layer.{}.lambda_1", "vision_tower.embeddings.cls_token",
        "multi_modal_projector.linear_1.weight", "language_model.model.layers.{}.self_attn.q_proj.weight"},
       "vision_tower.encoder.layer.{0-3}.attention",
       "language_model.model.layers.{0-3}.self_attn",
       "multi_modal_projector"},
      {"InternVL with InternLM2",
       {"vision_model.encoder.layers.{}.attn.qkv.weight", "vision_model.encoder.layers.{}.ls1",
        "mlp1.0.weight", "mlp1.1.weight", "language_model.model.layers.{}.attention.wqkv.weight",
        "language_model.model.layers.{}.attention.wo.weight",
        "language_model.model.layers.{}.feed_forward.w1.weight", "language_model.model.tok_embeddings.weight",
        "language_model.output.weight"},
       "vision_model.encoder.layers.{0-3}.attn",
       "language_model.model.layers.{0-3}.attention",
       "mlp1"},
      {"SmolVLM",
       {"model.vision_model.encoder.layers.{}.self_attn.q_proj.weight",
        "model.connector.modality_projection.proj.weight",
        "model.text_model.layers.{}.self_attn.q_proj.weight", "model.vision_model.post_layernorm.weight"},
       "model.vision_model.encoder.layers.{0-3}.self_attn",
       "model.text_model.layers.{0-3}.self_attn",
       "model.connector"},
      {"LLaVA as transformers holds it in memory",
       {"model.vision_tower.vision_model.encoder.layers.{}.self_attn.q_proj.weight",
        "model.multi_modal_projector.linear_1.weight",
        "model.language_model.layers.{}.self_attn.q_proj.weight"},
       "model.vision_tower.vision_model.encoder.layers.{0-3}.self_attn",
       "model.language_model.layers.{0-3}.self_attn",
       "model.multi_modal_projector"},
  };
  for (const Form& form : forms) {
    CAPTURE(form.name);
    const auto all = detect_modules(tensors(repeated(form.names, 4)));
    CHECK(module(all, form.vision).kind == ModuleKind::vision_attention);
    CHECK(module(all, form.vision).blocks == 4);
    CHECK(module(all, form.vision).heads == 0);  // names do not say
    CHECK(module(all, form.language).kind == ModuleKind::language_attention);
    CHECK(module(all, form.projection).kind == ModuleKind::projection);
    CHECK(std::count_if(all.begin(), all.end(),
                        [](const DetectedModule& m) { return m.kind == ModuleKind::vision_attention; }) == 1);
    CHECK(std::count_if(all.begin(), all.end(), [](const DetectedModule& m) {
            return m.kind == ModuleKind::language_attention;
          }) == 1);
    for (const DetectedModule& m : all) CHECK_MESSAGE(m.kind != ModuleKind::other, m.name);
  }
}

TEST_CASE("what is called attention but projects no queries is not taken for a block's attention") {
  const auto all = detect_modules(tensors({"vision_tower.vision_model.head.attention.in_proj_weight",
                                           "vision_tower.encoder.layer.0.attention.output.dense.weight"}));
  for (const DetectedModule& m : all) CHECK(m.kind == ModuleKind::other);
}

TEST_CASE("a block without the attention of its neighbours is named") {
  auto shapes = golden_tensors();
  std::erase_if(shapes, [](const NamedShape& t) {
    return t.name == "language_model.model.layers.1.self_attn.v_proj.weight";
  });
  CHECK(failure_of([&] { detect_modules(shapes); }) ==
        Failure{ExitCode::bad_data,
                "language_model.model.layers.1.self_attn.v_proj.weight is missing: other blocks have one"});
}

TEST_CASE("tensors that are not the configuration's are bad data naming the tensor") {
  const auto with = [](auto&& change) {
    ModelConfig config = golden();
    change(config);
    return failure_of([&] { detect_modules(golden_tensors(), config, "dir"); });
  };
  CHECK(with([](ModelConfig& c) { c.text.kv_heads = 4; }) ==
        Failure{ExitCode::bad_data,
                "dir: language_model.model.layers.0.self_attn.k_proj.weight has 32 rows, but the "
                "configuration's key-value heads make 64"});
  CHECK(with([](ModelConfig& c) { c.text.heads = 8; }) ==
        Failure{ExitCode::bad_data,
                "dir: language_model.model.layers.0.self_attn.q_proj.weight has 64 rows, but the "
                "configuration's query heads make 128"});
  CHECK(with([](ModelConfig& c) { c.text.layers = 2; }) ==
        Failure{ExitCode::bad_data,
                "dir: language_model.model.layers.2.self_attn.k_proj.weight: the configuration has 2 "
                "language blocks"});
  CHECK(with([](ModelConfig& c) { c.vision.layers = 4; }) ==
        Failure{ExitCode::bad_data,
                "dir: vision_tower.vision_model.encoder.layers.3.self_attn.k_proj.weight is missing: the "
                "configuration has 4 vision blocks"});
  CHECK(failure_of([] { detect_modules(tensors({"lm_head.weight"}), golden(), "dir"); }).code ==
        ExitCode::bad_data);
}

TEST_CASE("detected modules of a model that is not yet written are those of its registry") {
  const Vlm model(emoji());
  const auto all = detect_modules(named_shapes(model.parameters()), emoji(), "");
  CHECK(module(all, "vision_tower.vision_model.encoder.layers.{0-3}.self_attn").heads == 4);
  CHECK(module(all, "language_model.model.layers.{0-3}.self_attn").kv_heads == 3);
  CHECK(contains(module_table(all), "6 heads, 3 of keys and values"));
}
