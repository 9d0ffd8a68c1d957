// Tensor names of all families and generations of files.
#include <cstring>
#include <filesystem>

#include <doctest/doctest.h>

#include "model/files/checkpoint.h"
#include "tests/support/failure.h"
#include "tests/support/golden_models.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::model;
using test::golden_folder;

namespace {

namespace fs = std::filesystem;

bool replaced(std::string& name, const std::string& from, const std::string& to) {
  if (!name.starts_with(from)) return false;
  name = to + name.substr(from.size());
  return true;
}

// As transformers 4.52 and later hold it in memory, and as some releases wrote it.
std::string in_memory(const std::string& name) {
  std::string n = name;
  if (!replaced(n, "language_model.model.", "model.language_model.") &&
      !replaced(n, "language_model.lm_head.", "lm_head.") &&
      !replaced(n, "vision_tower.", "model.vision_tower."))
    replaced(n, "multi_modal_projector.", "model.multi_modal_projector.");
  return n;
}

std::string qwen_in_memory(const std::string& name) {
  std::string n = name;
  if (!replaced(n, "model.", "model.language_model.")) replaced(n, "visual.", "model.visual.");
  return n;
}

std::string without_vision_model(const std::string& name) {
  std::string n = name;
  if (!replaced(n, "vision_tower.vision_model.", "vision_tower."))
    replaced(n, "model.vision_tower.vision_model.", "model.vision_tower.");
  return n;
}

struct Generation {
  std::string model, name;
  test::Rename rename;
};

// Of every golden model, by the names of its generations in tests/families.json; with those of the tower,
// alone and both.
std::vector<Generation> generations() {
  std::vector<Generation> all;
  for (const test::GoldenModel& model : test::golden_models()) {
    bool tower = false;
    test::Rename outer;
    for (const std::string& generation : model.generations) {
      if (generation == "tower") tower = true;
      if (generation == "llava") outer = in_memory;
      if (generation == "qwen2_vl") outer = qwen_in_memory;
    }
    CHECK(static_cast<bool>(outer) == !model.generations.empty());
    if (outer) all.push_back({model.name, "outer", outer});
    if (!tower) continue;
    all.push_back({model.name, "tower", without_vision_model});
    all.push_back(
        {model.name, "both", [outer](const std::string& n) { return without_vision_model(outer(n)); }});
  }
  return all;
}

// What loading says of a folder of these tensors.
Failure loading(const ScratchFolder& scratch, const std::string& model,
                const std::vector<test::HollowTensor>& tensors) {
  const std::string folder = scratch / "changed";
  fs::create_directories(folder);
  fs::copy_file(golden_folder(model) + "/config.json", folder + "/config.json",
                fs::copy_options::overwrite_existing);
  test::write_hollow(folder + "/model.safetensors", tensors);
  return failure_of([&] { load_model(folder, {}); });
}

}  // namespace

TEST_CASE("names of every generation of files load to the same bits") {
  for (const Generation& g : generations()) {
    CAPTURE(g.model);
    CAPTURE(g.name);
    const ScratchFolder scratch;
    i64 changed = 0;
    test::write_renamed(golden_folder(g.model), scratch / "model", [&](const std::string& name) {
      changed += g.rename(name) != name;
      return g.rename(name);
    });
    CHECK(changed > 10);
    const auto original = load_model(golden_folder(g.model), {}), renamed = load_model(scratch / "model", {});
    CHECK(test::same_bits(*original, *renamed));
    // Each parameter remembers how its file called it.
    const std::string head = renamed->parameters()[renamed->parameters().size() - 1].name;
    CHECK(renamed->name_in_file(renamed->parameters().find(head)) == g.rename(head));
  }
}

TEST_CASE("each tensor that is dropped, renamed, reshaped or there twice is refused by its name") {
  for (const test::GoldenModel& golden : test::golden_models()) {
    const std::string& model = golden.name;
    CAPTURE(model);
    const ScratchFolder scratch;
    const std::vector<test::HollowTensor> tensors = test::hollow_tensors(golden_folder(model));
    CHECK(loading(scratch, model, tensors).message == "");
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const std::string& name = tensors[i].name;
      INFO(name);
      auto dropped = tensors;
      dropped.erase(dropped.begin() + static_cast<std::ptrdiff_t>(i));
      const Failure missing = loading(scratch, model, dropped);
      CHECK(missing.code == ExitCode::bad_data);
      CHECK(contains(missing.message, "missing"));
      CHECK(contains(missing.message, name));

      auto renamed = tensors;
      renamed[i].name += "x";
      const Failure unexpected = loading(scratch, model, renamed);
      CHECK(unexpected.code == ExitCode::bad_data);
      CHECK(contains(unexpected.message, "unexpected"));
      CHECK(contains(unexpected.message, name + "x"));

      auto reshaped = tensors;
      // A dimension more; of five dimensions, which are the most that there are, the last one longer.
      if (reshaped[i].shape.size() < 5)
        reshaped[i].shape.insert(reshaped[i].shape.begin(), 1);
      else
        reshaped[i].shape.back() += 1;
      const Failure wrong = loading(scratch, model, reshaped);
      CHECK(wrong.code == ExitCode::bad_data);
      INFO(wrong.message);
      CHECK(contains(wrong.message, "wrong shape"));
      CHECK(contains(wrong.message, name));
    }
  }
}

TEST_CASE("a tensor under the names of two generations is refused with both") {
  for (const Generation& g : generations()) {
    CAPTURE(g.model);
    const ScratchFolder scratch;
    const std::vector<test::HollowTensor> tensors = test::hollow_tensors(golden_folder(g.model));
    for (const test::HollowTensor& t : tensors) {
      const std::string other = g.rename(t.name);
      if (other == t.name) continue;
      auto doubled = tensors;
      doubled.push_back({other, t.shape});
      const Failure failure = loading(scratch, g.model, doubled);
      CHECK(failure.code == ExitCode::bad_data);
      CHECK(contains(failure.message, " " + t.name + " "));
      CHECK(contains(failure.message, " " + other + " "));
    }
  }
}

TEST_CASE("buffers of old files are passed over") {
  const ScratchFolder scratch;
  auto tensors = test::hollow_tensors(golden_folder("llava-clip-llama"));
  tensors.push_back({"vision_tower.vision_model.embeddings.position_ids", {1, 17}});
  tensors.push_back({"language_model.model.layers.0.self_attn.rotary_emb.inv_freq", {8}});
  CHECK(loading(scratch, "llava-clip-llama", tensors).message == "");
}

TEST_CASE("what is allowed to be missing is initialised, and nothing else") {
  const ScratchFolder scratch;
  const std::string folder = scratch / "model";
  const io::SafetensorsSet file(golden_folder("llava-clip-llama"));
  fs::create_directories(folder);
  fs::copy_file(golden_folder("llava-clip-llama") + "/config.json", folder + "/config.json");
  std::vector<OwnedTensor> owners;
  std::vector<io::NamedTensor> tensors;
  for (const auto& entry : file.entries()) {
    if (entry.name.starts_with("multi_modal_projector.linear_1")) continue;
    owners.push_back(file.read(entry.name));
    tensors.push_back({entry.name, owners.back(), DType::F32});
  }
  io::write_safetensors(folder + "/model.safetensors", tensors);

  const auto loaded = [&](std::vector<std::string> globs) {
    return load_model(folder, {.rules = {.allow_missing = std::move(globs), .seed = 5}});
  };
  const std::string all_missing = failure_of([&] { loaded({}); }).message;
  INFO(all_missing);
  CHECK(contains(all_missing,
                 "missing multi_modal_projector (2 tensors, multi_modal_projector.linear_1.weight)"));
  CHECK(contains(failure_of([&] { loaded({"*.linear_1.weight"}); }).message,
                 "missing multi_modal_projector (1 tensor, multi_modal_projector.linear_1.bias)"));
  const Failure typo = failure_of([&] { loaded({"multi_modal_projector.*", "multi_model_projector.*"}); });
  CHECK(typo.code == ExitCode::usage);
  CHECK(contains(typo.message, "multi_model_projector.*"));

  const auto model = loaded({"multi_modal_projector.*"}),
             original = load_model(golden_folder("llava-clip-llama"), {});
  ParameterRegistry& parameters = model->parameters();
  Vlm fresh(read_config(folder));
  fresh.parameters().allocate(DType::F32, false);
  fresh.parameters().initialise(5);
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    CAPTURE(parameters[id].name);
    const bool initialised = parameters[id].name.starts_with("multi_modal_projector.linear_1");
    const Tensor expected = (initialised ? fresh : *original).parameters().value(id);
    CHECK(std::memcmp(parameters.value(id).data(), expected.data(),
                      static_cast<std::size_t>(expected.bytes())) == 0);
  }
}
