// A LLaVA made of a tower and a language model: parts cut out of models that are whole.
#include "model/files/parts.h"

#include <cstring>
#include <filesystem>
#include <set>

#include <doctest/doctest.h>

#include "runtime/data/text/bpe_tokenizer.h"
#include "tests/support/failure.h"
#include "tests/support/families.h"
#include "tests/support/golden_models.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

using namespace longsight;
using namespace longsight::model;

namespace {

namespace fs = std::filesystem;

const std::string kLlavaModel = "tests/goldens/llava-clip-llama/model";
const std::string kTower = "vision_tower.vision_model.", kLanguage = "language_model.";
constexpr i64 kVocab = 782;  // rows that the language model keeps: those of the tokenizer without <image>

struct Values {
  std::vector<OwnedTensor> owners;
  std::vector<io::NamedTensor> tensors;

  void add(const std::string& name, OwnedTensor value, i64 rows = 0) {
    owners.push_back(std::move(value));
    const Tensor whole = owners.back();
    tensors.push_back({name, rows > 0 ? whole.row_range(0, rows) : whole, DType::F32});
  }
  void write(const std::string& folder) const {
    io::write_safetensors(folder + "/model.safetensors", tensors);
  }
};

// A tower's folder: `prefix` stands in front of the tensors, `whole` adds what a CLIPModel has besides.
void write_tower(const std::string& folder, const std::string& prefix, bool whole) {
  fs::create_directories(folder);
  Values values;
  const io::SafetensorsSet golden(kLlavaModel);
  for (const auto& entry : golden.entries()) {
    if (entry.name.starts_with(kTower))
      values.add(prefix + entry.name.substr(kTower.size()), golden.read(entry.name));
  }
  Json config = read_json_file(kLlavaModel + "/config.json")["vision_config"];
  if (whole) {
    for (const char* other : {"logit_scale", "text_model.final_layer_norm.weight", "text_projection.weight",
                              "visual_projection.weight"})
      values.add(other, OwnedTensor(DType::F32, {3}));
    config = {{"model_type", "clip"},
              {"architectures", {"CLIPModel"}},
              {"vision_config", config},
              {"projection_dim", 8}};
  }
  values.write(folder);
  io::write_file(folder + "/config.json", config.dump());
  fs::copy_file(kLlavaModel + "/preprocessor_config.json", folder + "/preprocessor_config.json");
}

// The language model's, with fewer tokens and a tokenizer that knows no image.
void write_language(const std::string& folder, bool tied = false) {
  fs::create_directories(folder);
  Values values;
  const io::SafetensorsSet golden(kLlavaModel);
  for (const auto& entry : golden.entries()) {
    if (!entry.name.starts_with(kLanguage)) continue;
    const std::string name = entry.name.substr(kLanguage.size());
    const bool rows = name == "model.embed_tokens.weight" || name == "lm_head.weight";
    if (name == "lm_head.weight" && tied) continue;
    values.add(name, golden.read(entry.name), rows ? kVocab : 0);
  }
  values.write(folder);
  Json config = read_json_file(kLlavaModel + "/config.json")["text_config"];
  config["vocab_size"] = kVocab;
  config["tie_word_embeddings"] = tied;
  config["architectures"] = {"LlamaForCausalLM"};
  config["torch_dtype"] = "bfloat16";
  io::write_file(folder + "/config.json", config.dump());
  Json tokenizer = read_json_file(kLlavaModel + "/tokenizer.json");
  std::erase_if(tokenizer["added_tokens"].get_ref<Json::array_t&>(),
                [](const Json& token) { return token["content"] == "<image>"; });
  io::write_file(folder + "/tokenizer.json", tokenizer.dump());
  Json tokenizer_config = read_json_file(kLlavaModel + "/tokenizer_config.json");
  tokenizer_config["chat_template"] = "{{ messages }}";
  auto& added = tokenizer_config["added_tokens_decoder"];
  for (auto token = added.begin(); token != added.end();)
    token = (*token)["content"] == "<image>" ? added.erase(token) : std::next(token);
  io::write_file(folder + "/tokenizer_config.json", tokenizer_config.dump());
  fs::copy_file(kLlavaModel + "/special_tokens_map.json", folder + "/special_tokens_map.json");
}

struct Parts {
  ScratchFolder scratch;
  PartFolders folders{scratch / "tower", scratch / "language"};

  explicit Parts(bool tied = false) {
    write_tower(folders.vision, "vision_model.", true);
    write_language(folders.language, tied);
  }
};

bool same(Tensor a, Tensor b) {
  return a.bytes() == b.bytes() && std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())) == 0;
}

}  // namespace

TEST_CASE("a LLaVA of parts has the tower's and the language model's weights and a new connector") {
  const Parts parts;
  const auto model = load_parts(parts.folders, {.rules = {.seed = 9}}), golden = load_model(kLlavaModel, {});
  const ModelConfig& config = model->config();
  CHECK(config.family == "llava");
  CHECK(config.image_token == kVocab);
  CHECK(config.text.vocab == kVocab + 1);
  CHECK(config.connector.feature_layers == std::vector<i64>{2});  // the last block but one of three
  CHECK(config.connector.drop_first_row);
  Vlm fresh(config);
  fresh.parameters().allocate(DType::F32, false);
  fresh.parameters().initialise(9);
  const ParameterRegistry& p = model->parameters();
  REQUIRE(p.size() == golden->parameters().size());
  for (ParameterId id = 0; id < p.size(); ++id) {
    const std::string& name = p[id].name;
    CAPTURE(name);
    const Tensor value = p.value(id), before = golden->parameters().value(golden->parameters().find(name));
    if (name.starts_with("multi_modal_projector.")) {
      CHECK(same(value, fresh.parameters().value(id)));
    } else if (value.rows() == kVocab + 1) {
      CHECK(same(value.row_range(0, kVocab), before.row_range(0, kVocab)));
      for (i64 c = 0; c < value.row_size(); ++c) {
        double sum = 0;
        for (i64 r = 0; r < kVocab; ++r) sum += before.host<float>()[r * value.row_size() + c];
        CHECK(value.host<float>()[kVocab * value.row_size() + c] == static_cast<float>(sum / kVocab));
      }
    } else {
      CHECK(same(value, before));
    }
  }
}

TEST_CASE("a tower alone is taken with and without vision_model in front of its names") {
  const Parts parts;
  const auto whole = load_parts(parts.folders, {});
  for (const char* prefix : {"vision_model.", ""}) {
    CAPTURE(prefix);
    PartFolders alone = parts.folders;
    alone.vision = parts.scratch / fmt::format("alone{}", prefix);
    write_tower(alone.vision, prefix, false);
    CHECK(same(load_parts(alone, {})->parameters().values(), whole->parameters().values()));
  }
}

TEST_CASE("tied embeddings grow as one") {
  const Parts parts(true);
  const auto model = load_parts(parts.folders, {});
  CHECK(model->config().text.tied);
  CHECK(model->parameters().find("language_model.lm_head.weight") < 0);
  CHECK(model->parameters()
            .value(model->parameters().find("language_model.model.embed_tokens.weight"))
            .rows() == kVocab + 1);
}

TEST_CASE("a SigLIP tower keeps all of its rows, and its pooling head is carried") {
  const ScratchFolder scratch;
  const auto whole = test::tiny_model(DType::F32, test::tiny_family("llava, SigLIP and Mistral"), false);
  Values tower;
  for (const Parameter& p : whole->parameters().all()) {
    if (!p.name.starts_with(kTower)) continue;
    OwnedTensor value(DType::F32, p.shape);
    copy(value, whole->parameters().value(whole->parameters().find(p.name)), {});
    tower.add("vision_model." + p.name.substr(kTower.size()), std::move(value));
  }
  tower.add("logit_bias", OwnedTensor(DType::F32, {1}));
  fs::create_directories(scratch / "tower");
  tower.write(scratch / "tower");
  Json vision = whole->config().source["vision_config"];
  scratch.write("tower/config.json", Json{{"model_type", "siglip"}, {"vision_config", vision}}.dump());
  write_language(scratch / "language");
  const auto model = load_parts({scratch / "tower", scratch / "language"}, {});
  CHECK_FALSE(model->config().connector.drop_first_row);
  CHECK(model->config().features(model->config().tile_layout()) == 9);
  i64 carried = 0;
  for (const Parameter& p : whole->parameters().all()) {
    if (!p.name.starts_with(kTower)) continue;
    CAPTURE(p.name);
    carried += contains(p.name, ".head.");
    CHECK(same(whole->parameters().value(whole->parameters().find(p.name)),
               model->parameters().value(model->parameters().find(p.name))));
  }
  CHECK(carried == 11);
}

TEST_CASE("the files beside a LLaVA of parts: the tokenizer with the image token, the tower's preprocessor") {
  const Parts parts;
  fs::create_directories(parts.scratch / "files");
  write_parts_files(parts.folders, parts.scratch / "files");
  const auto tokenizer = data::BpeTokenizer::from_folder(parts.scratch / "files");
  CHECK(tokenizer.id_of("<image>") == kVocab);
  CHECK(tokenizer.vocab_size() == kVocab + 1);
  const Json config = read_json_file(parts.scratch / "files/tokenizer_config.json");
  CHECK_FALSE(config.contains("chat_template"));
  CHECK(config["added_tokens_decoder"][std::to_string(kVocab)]["content"] == "<image>");
  CHECK(contents_of(parts.scratch / "files/preprocessor_config.json") ==
        contents_of(kLlavaModel + "/preprocessor_config.json"));
  CHECK(contents_of(parts.scratch / "files/special_tokens_map.json") ==
        contents_of(kLlavaModel + "/special_tokens_map.json"));
}

TEST_CASE("an image token that the tokenizer has is kept") {
  const Parts parts;
  fs::copy_file(kLlavaModel + "/tokenizer.json", parts.folders.language + "/tokenizer.json",
                fs::copy_options::overwrite_existing);
  const ModelConfig config = compose_parts(parts.folders);
  CHECK(config.image_token == read_config(kLlavaModel).image_token);
  CHECK(config.text.vocab == kVocab);
  fs::create_directories(parts.scratch / "files");
  write_parts_files(parts.folders, parts.scratch / "files");
  CHECK(read_json_file(parts.scratch / "files/tokenizer.json") ==
        read_json_file(kLlavaModel + "/tokenizer.json"));
}

TEST_CASE("a tokenizer.model without tokenizer.json gets the token in added_tokens.json") {
  const Parts parts;
  fs::remove(parts.folders.language + "/tokenizer.json");
  io::write_file(parts.folders.language + "/tokenizer.model", "pieces");
  io::write_file(parts.folders.language + "/added_tokens.json", R"({"<pad>": 790})");
  CHECK(compose_parts(parts.folders).image_token == 791);
  CHECK(compose_parts(parts.folders).text.vocab == 792);
  fs::create_directories(parts.scratch / "files");
  write_parts_files(parts.folders, parts.scratch / "files");
  CHECK(read_json_file(parts.scratch / "files/added_tokens.json") == Json{{"<image>", 791}, {"<pad>", 790}});
  CHECK(contents_of(parts.scratch / "files/tokenizer.model") == "pieces");
}

TEST_CASE("parts that do not make a LLaVA are refused with what is wrong") {
  const auto refused = [](const PartFolders& folders, ExitCode code, const std::string& what) {
    const Failure failure = failure_of([&] { load_parts(folders, {}); });
    CAPTURE(failure.message);
    CHECK(failure.code == code);
    CHECK(contains(failure.message, what));
  };
  const Parts parts;
  refused({parts.scratch / "none", parts.folders.language}, ExitCode::missing_input, "none");
  refused({parts.folders.language, parts.folders.language}, ExitCode::bad_data, "\"llama\" is no tower");
  refused({parts.folders.vision, kLlavaModel}, ExitCode::bad_data, "a llava is no language model alone");
  // A tensor too many and one too few, in either.
  fs::copy(parts.folders.vision, parts.scratch / "bad");
  auto tensors = test::hollow_tensors(parts.scratch / "bad");
  tensors.push_back({"vision_model.adapter.weight", {2}});
  std::erase_if(tensors,
                [](const test::HollowTensor& t) { return t.name == "vision_model.pre_layrnorm.bias"; });
  test::write_hollow(parts.scratch / "bad/model.safetensors", tensors);
  refused({parts.scratch / "bad", parts.folders.language}, ExitCode::bad_data, "vision_model.adapter.weight");
  refused({parts.scratch / "bad", parts.folders.language}, ExitCode::bad_data,
          "missing vision_tower.vision_model (1 tensor, vision_tower.vision_model.pre_layrnorm.bias)");
  fs::remove(parts.folders.language + "/tokenizer.json");
  refused(parts.folders, ExitCode::missing_input, "neither tokenizer.json nor tokenizer.model");
}
