// Adapters in PEFT's files: those of tests/goldens/adapters are made by scripts/make_adapter_goldens.py.
#include "model/adapters/adapter_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include <doctest/doctest.h>

#include "model/families/families.h"
#include "model/files/checkpoint.h"
#include "runtime/base/json.h"
#include "runtime/io/safetensors.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

namespace longsight::model {
namespace {

const std::string kFixtures = "tests/goldens/adapters/";
const std::string kUntied = "tests/goldens/qwen2-vl/model", kTied = "tests/goldens/internvl-qwen2/model";

// What the folder holds is trained on.
std::unique_ptr<Vlm> load_adapted(const std::string& base, const std::string& adapter) {
  const AdapterConfig config = read_adapter_config(adapter, read_config(base));
  const auto trained = [&](const Parameter& p) {
    return p.adapter || std::find(config.saved.begin(), config.saved.end(), p.name) != config.saved.end();
  };
  return load_model(base, {.trainable = trained, .adapters = config, .adapter_folder = adapter});
}

std::vector<float> values_of(const Vlm& model, const std::string& name) {
  const ParameterId id = model.parameters().find(name);
  REQUIRE(id >= 0);
  const Tensor value = model.parameters().value(id);
  return {value.host<float>(), value.host<float>() + value.elements()};
}

// As if it had been trained: other values for all that is trainable.
void change(Vlm& model, float by) {
  const ParameterRegistry& p = model.parameters();
  for (ParameterId id = 0; id < p.size(); ++id) {
    if (!p[id].trainable) continue;
    const Tensor value = p.value(id);
    for (i64 i = 0; i < value.elements(); ++i)
      value.host<float>()[i] += by * static_cast<float>((i * 7919 + id) % 101 - 50) / 500;
  }
}

// The weights that a folder holds once the adapters are merged, bit for bit.
void check_same_weights(const Vlm& a, const Vlm& b) {
  for (const Parameter& p : a.parameters().all()) {
    if (p.adapter) continue;
    const ParameterId id = b.parameters().find(p.name);
    CAPTURE(p.name);
    REQUIRE(id >= 0);
    const Tensor x = a.parameters().value(a.parameters().find(p.name)), y = b.parameters().value(id);
    CHECK(std::memcmp(x.data(), y.data(), static_cast<std::size_t>(x.bytes())) == 0);
  }
}

// What reading a folder says, in which `patch` is put over a golden adapter_config.json.
Failure refusal(const Json& patch) {
  const ScratchFolder folder;
  Json json = read_json_file(kFixtures + "patterns/adapter_config.json");
  json.merge_patch(patch);
  folder.write("adapter_config.json", json.dump());
  std::filesystem::copy_file(kFixtures + "patterns/adapter_model.safetensors",
                             folder / "adapter_model.safetensors");
  return failure_of([&] { read_adapter_config(folder.path(), read_config(kUntied)); });
}

}  // namespace

TEST_CASE("adapters in every form that PEFT writes are merged as PEFT merges them") {
  for (const char* form : {"patterns", "rslora", "modules", "embedding", "tied"}) {
    CAPTURE(form);
    const std::string folder = kFixtures + form;
    const std::string base = read_json_file(folder + "/adapter_config.json")["base_model_name_or_path"];
    const auto before = load_model(base, {});
    const auto model = load_adapted(base, folder);
    CHECK((model->config().text.tied != before->config().text.tied) == (form == std::string("tied")));
    merge_adapters(model->ids(), model->parameters(), {});
    std::set<std::string> changed;
    const io::SafetensorsFile merged(folder + "/merged.safetensors");
    for (const io::TensorEntry& entry : merged.entries()) {
      const std::string name = family_of(model->config()).canonical(entry.name);
      CAPTURE(name);
      changed.insert(name);
      const std::vector<float> mine = values_of(*model, name);
      const OwnedTensor theirs = merged.read(entry.name);
      REQUIRE(theirs->elements() == static_cast<i64>(mine.size()));
      float furthest = 0, size = 1;
      for (std::size_t i = 0; i < mine.size(); ++i) {
        furthest = std::max(furthest, std::abs(mine[i] - theirs->host<float>()[i]));
        size = std::max(size, std::abs(mine[i]));
      }
      CHECK(furthest <= 4 * size * std::ldexp(1.0F, -23));
    }
    CHECK(!changed.empty());
    for (const Parameter& p : before->parameters().all()) {
      if (!changed.contains(p.name)) CHECK(values_of(*model, p.name) == values_of(*before, p.name));
    }
  }
}

TEST_CASE("base and adapters give the trained model bit for bit, also when training went on from adapters") {
  for (const std::string& base : {kUntied, kTied}) {
    CAPTURE(base);
    const AdapterConfig config{.rank = 2,
                               .alpha = 3,
                               .targets = {"*q_proj", "*down_proj", "*fc1"},
                               .rslora = true,
                               .ranks = {{"*.layers.1.*q_proj", 4}},
                               .alphas = {{"*down_proj", 5}}};
    // Norms, an embedding that may be tied, and biases of layers that have adapters.
    const auto trained = [](const Parameter& p) {
      return p.adapter || p.name.ends_with("norm.weight") || p.name.ends_with("embed_tokens.weight") ||
             p.name.ends_with("q_proj.bias");
    };
    const auto model = load_model(base, {.trainable = trained, .adapters = config});
    change(*model, 1);
    check_adapter_form(*model);
    const ScratchFolder first;
    write_adapter_files(*model, first.path(), base);
    merge_adapters(model->ids(), model->parameters(), {});
    const auto again = load_adapted(base, first.path());
    CHECK(again->config().text.tied == model->config().text.tied);
    const auto merged = load_adapted(base, first.path());
    merge_adapters(merged->ids(), merged->parameters(), {});
    check_same_weights(*model, *merged);

    // What came with the adapters stays in them, trained on or not.
    for (const float by : {0.0F, 0.5F}) {
      change(*again, by);
      const ScratchFolder next;
      write_adapter_files(*again, next.path(), base);
      const auto reread = load_adapted(base, next.path());
      check_same_weights(*again, *reread);
      CHECK(reread->adapters().saved == again->adapters().saved);
    }
  }
}

TEST_CASE("biases of layers that have adapters bear the names by which PEFT reads them") {
  const AdapterConfig config{.rank = 2, .alpha = 3, .targets = {"*q_proj", "*fc1"}};
  const auto model = load_model(
      kUntied, {.trainable = [](const Parameter& p) { return p.adapter || p.name.ends_with("q_proj.bias"); },
                .adapters = config});
  const ScratchFolder folder;
  write_adapter_files(*model, folder.path(), kUntied);
  CHECK(read_json_file(folder / "adapter_config.json")["bias"] == "lora_only");
  i64 biases = 0;
  const io::SafetensorsFile file(folder / "adapter_model.safetensors");
  for (const io::TensorEntry& entry : file.entries()) {
    if (!entry.name.ends_with("bias")) continue;
    CAPTURE(entry.name);
    ++biases;
    const bool peft =
        entry.name.ends_with(".q_proj.base_layer.bias") || entry.name.ends_with(".fc1.base_layer.bias");
    CHECK(peft);
  }
  CHECK(biases > 0);
  check_same_weights(*model, *load_adapted(kUntied, folder.path()));
}

TEST_CASE("a head that adapters bring to a tied model goes on as a head of its own") {
  const auto model = load_adapted(kTied, kFixtures + "tied");
  const TextNames& names = model->config().text.names;
  CHECK(values_of(*model, names.head + ".weight") != values_of(*model, names.embedding + ".weight"));
  CHECK(model->adapters().saved == std::vector<std::string>{names.head + ".weight"});
  CHECK(model->config().source["tie_word_embeddings"] == false);
  const ScratchFolder folder;
  write_adapter_files(*model, folder.path(), kTied);
  check_same_weights(*model, *load_adapted(kTied, folder.path()));
}

TEST_CASE("what is another computation than LoRA is refused by name") {
  CHECK(refusal(Json::object()) == Failure{});
  for (const auto& [patch, words] : std::vector<std::pair<Json, const char*>>{
           {{{"use_dora", true}}, "use_dora = true (DoRA) is not supported; plain LoRA and rsLoRA are"},
           {{{"peft_type", "LOHA"}}, "peft_type \"LOHA\" is not supported"},
           {{{"init_lora_weights", "pissa_niter_4"}},
            "init_lora_weights = \"pissa_niter_4\" is not supported"},
           {{{"trainable_token_indices", {1, 2}}}, "trainable_token_indices = [1,2]"},
           {{{"use_rslor", true}}, "use_rslor = true is not known; did you mean"},
           {{{"rank_pattern", {{"q_proj", 4}}}}, "has rank 3, but adapter_config.json says 4 for it"},
           {{{"rank_pattern", {{"q_proj(", 4}}}}, "is not understood"},
           {{{"r", 2.5}}, "r = 2.5 is no whole number"}}) {
    const Failure failure = refusal(patch);
    CAPTURE(patch.dump());
    CAPTURE(failure.message);
    CHECK(failure.code == ExitCode::bad_data);
    CHECK(contains(failure.message, words));
  }
}

TEST_CASE("tensors of layers that target_modules does not name are left out, as PEFT does") {
  const ScratchFolder folder;
  Json json = read_json_file(kFixtures + "patterns/adapter_config.json");
  std::filesystem::copy_file(kFixtures + "patterns/adapter_model.safetensors",
                             folder / "adapter_model.safetensors");
  const auto targets = [&](const Json& patch) {
    Json changed = json;
    changed.merge_patch(patch);
    folder.write("adapter_config.json", changed.dump());
    return read_adapter_config(folder.path(), read_config(kUntied)).targets;
  };
  const std::vector<std::string> all = targets({{"target_modules", "all-linear"}});
  REQUIRE(all.size() > 1);
  const auto dot = all.front().rfind('.');
  const std::string end = all.front().substr(dot + 1);
  std::vector<std::string> some, others;
  for (const std::string& name : all) (name.ends_with("." + end) ? some : others).push_back(name);
  CHECK(targets({{"target_modules", ".*" + end}}) == some);
  CHECK(targets({{"target_modules", {end}}}) == some);
  CHECK(targets({{"target_modules", "all-linear"}, {"exclude_modules", {end}}}) == others);
  CHECK(failure_of([&] { targets({{"target_modules", end}}); }).code == ExitCode::bad_data);  // whole names
}

TEST_CASE("tensors of layers that layers_to_transform does not number are left out, as PEFT does") {
  const ScratchFolder folder;
  const Json json = read_json_file(kFixtures + "patterns/adapter_config.json");
  std::filesystem::copy_file(kFixtures + "patterns/adapter_model.safetensors",
                             folder / "adapter_model.safetensors");
  const auto targets = [&](Json patch) {
    Json changed = json;
    patch["target_modules"] = patch.value("target_modules", Json({"q_proj", "v_proj", "down_proj", "qkv"}));
    changed.update(patch);
    folder.write("adapter_config.json", changed.dump());
    return read_adapter_config(folder.path(), read_config(kUntied)).targets;
  };
  const std::vector<std::string> all = targets(Json::object());
  const auto only = [&](const std::string& part) {
    std::vector<std::string> some;
    for (const std::string& name : all) {
      if (name.find(part) != std::string::npos) some.push_back(name);
    }
    REQUIRE((!some.empty() && some.size() < all.size()));
    return some;
  };
  CHECK(targets({{"layers_to_transform", {1}}}) == only(".layers.1."));
  CHECK(targets({{"layers_to_transform", 1}}) == only(".layers.1."));
  CHECK(targets({{"layers_to_transform", {0, 1}}}) == all);
  CHECK(targets({{"layers_to_transform", Json::array()}}) == all);
  CHECK(targets({{"layers_to_transform", 0}, {"layers_pattern", "blocks"}}) == only("visual.blocks.0."));
  CHECK(targets({{"layers_to_transform", 0}, {"layers_pattern", {"blocks", "layers"}}}) ==
        targets({{"layers_to_transform", 0}}));
  // A whole name counts whatever the layers are.
  const std::string whole = "model.language_model.layers.0.self_attn.q_proj";
  CHECK(targets({{"target_modules", {whole}}, {"layers_to_transform", {1}}}).size() == 1);

  const auto refused = [&](const Json& patch) {
    const Failure failure = failure_of([&] { targets(patch); });
    CHECK(failure.code == ExitCode::bad_data);
    return failure.message;
  };
  CHECK(contains(refused({{"layers_to_transform", {7}}}), "none of its tensors belongs to a layer"));
  CHECK(contains(refused({{"layers_to_transform", "1"}}), "layers_to_transform: \"1\" is not the number"));
  CHECK(contains(refused({{"layers_to_transform", {-1}}}), "-1 is not the number of a layer"));
  CHECK(contains(refused({{"layers_pattern", "layers"}}), "layers_pattern without layers_to_transform"));
  CHECK(
      contains(refused({{"layers_to_transform", 1}, {"target_modules", ".*q_proj"}}), "which PEFT refuses"));
}

TEST_CASE("adapters of a layer that can have none here are a fault of the file, not of a configuration") {
  const ScratchFolder folder;
  folder.write("adapter_config.json", R"({"r": 2, "lora_alpha": 2, "target_modules": ["lm_head"]})");
  const ModelConfig config = read_config(kUntied);
  const OwnedTensor a(DType::F32, {2, config.text.width}), b(DType::F32, {config.text.vocab, 2});
  const std::vector<io::NamedTensor> tensors{{"base_model.model.lm_head.lora_A.weight", a.view()},
                                             {"base_model.model.lm_head.lora_B.weight", b.view()}};
  io::write_safetensors(folder / "adapter_model.safetensors", tensors);
  const Failure failure = failure_of([&] { load_adapted(kUntied, folder.path()); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(failure.message.starts_with(folder / "adapter_model.safetensors"));
  CHECK(contains(failure.message, "adapts lm_head, which is none of the linear layers"));
}

TEST_CASE("adapters as a pickle are refused with a remedy") {
  const ScratchFolder folder;
  folder.write("adapter_config.json", R"({"r": 2, "lora_alpha": 2})");
  folder.write("adapter_model.bin", "PK");
  const Failure failure = failure_of([&] { read_adapter_config(folder.path(), read_config(kUntied)); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(failure.message, "adapter_model.bin is a pickle"));
  CHECK(contains(failure.message, "save_file"));
}

TEST_CASE("a weight that PEFT's files cannot hold beside the adapters is refused before training") {
  const AdapterConfig config{.rank = 2, .alpha = 3, .targets = {"*q_proj"}};
  const auto model = load_model(
      kUntied,
      {.trainable = [](const Parameter& p) { return p.adapter || p.name.ends_with("q_proj.weight"); },
       .adapters = config});
  const Failure failure = failure_of([&] { check_adapter_form(*model); });
  CHECK(failure.code == ExitCode::usage);
  CHECK(contains(failure.message, "q_proj.weight is trained beside adapters"));
}

}  // namespace longsight::model
