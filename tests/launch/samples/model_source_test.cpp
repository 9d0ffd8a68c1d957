#include "launch/samples/model_source.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;
namespace {

namespace fs = std::filesystem;

const std::string kModel = "tests/goldens/llava-clip-llama/model";

TEST_CASE("a path is a run, what lies in one, adapters or a model folder") {
  const ScratchFolder scratch;
  CHECK(find_source(kModel).folder == kModel);
  CHECK(find_source(kModel + "/").what == "a model folder");

  fs::create_directory(scratch / "run");
  CHECK(failure_of([&] { find_source(scratch / "run"); }).code == ExitCode::missing_input);
  for (const char* name : {"config.yaml", "plan.json", "run.json"})
    scratch.write(fmt::format("run/{}", name), "");
  CHECK(
      contains(failure_of([&] { find_source(scratch / "run"); }).message, "the run has no final model yet"));
  for (const char* folder :
       {"saves/step-00000002", "saves/step-00000010", "saves/step-00000011.tmp-1", "best"}) {
    fs::create_directories(scratch / "run" + "/" + folder);
    scratch.write(fmt::format("run/{}/config.json", folder), "{}");
  }
  CHECK(contains(failure_of([&] { find_source(scratch / "run"); }).message, "run/saves/step-00000010"));
  const std::string run = fs::canonical(scratch / "run").string();
  for (const char* name : {"saves/step-00000002", "best"}) {
    const ModelSource save = find_source(scratch / "run" + "/" + name);
    CHECK(save.folder == scratch / "run" + "/" + name);
    CHECK(save.what == "a save of the run " + run);
    CHECK(save.run == run);
  }
  fs::create_directory(scratch / "run/model");
  scratch.write("run/model/config.json", "{}");
  CHECK(find_source(scratch / "run/").folder == scratch / "run/model");
  CHECK(find_source(scratch / "run/model").what == "the final model of the run " + run);
  CHECK(failure_of([&] { find_source(scratch / "none"); }).code == ExitCode::missing_input);
}

TEST_CASE("adapters belong to the model that is named, to that of their run, or to what their file says") {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "adapter");
  scratch.write("adapter/adapter_config.json", R"({"base_model_name_or_path": "meta/llama"})");
  CHECK(contains(failure_of([&] { find_source(scratch / "adapter"); }).message, "meta/llama"));
  CHECK(find_source(scratch / "adapter", kModel).folder == kModel);
  CHECK(failure_of([&] { find_source(scratch / "adapter", scratch / "adapter"); }).code != ExitCode::done);
  scratch.write("adapter/adapter_config.json",
                fmt::format(R"({{"base_model_name_or_path": "{}"}})", fs::absolute(kModel).string()));
  const ModelSource named = find_source(scratch / "adapter");
  CHECK(named.folder == fs::absolute(kModel).string());
  CHECK(named.adapter == scratch / "adapter");
  for (const char* name : {"config.yaml", "plan.json", "run.json"}) scratch.write(name, "");
  const ModelSource of_run = find_source(scratch / "adapter");
  CHECK(of_run.folder.empty());  // the run's configuration says which
  CHECK(of_run.run == fs::canonical(scratch / ".").string());
  CHECK(failure_of([&] { find_source(kModel, kModel); }).code == ExitCode::missing_input);
}

TEST_CASE("what somebody put beside the weights of a run does not belong to the run") {
  const ScratchFolder scratch;
  for (const char* name : {"config.yaml", "plan.json", "run.json"}) scratch.write(name, "");
  for (const char* inside :
       {"foreign", "saves", "saves/mine", "saves/step-00000001.removed", "best/adapter", "adapter/adapter"}) {
    CAPTURE(inside);
    const std::string folder = scratch / inside;
    fs::create_directories(folder);
    scratch.write(fmt::format("{}/config.json", inside), "{}");
    CHECK(find_source(folder).run == "");
    CHECK(find_source(folder).what == "a model folder");
    scratch.write(fmt::format("{}/adapter_config.json", inside),
                  fmt::format(R"({{"base_model_name_or_path": "{}"}})", fs::absolute(kModel).string()));
    CHECK(find_source(folder).run == "");
    CHECK(find_source(folder).folder == fs::absolute(kModel).string());
    scratch.write(fmt::format("{}/adapter_config.json", inside), R"({"base_model_name_or_path": null})");
    CHECK(contains(failure_of([&] { find_source(folder); }).message, "the adapters name no model"));
  }
  // Whatever the run itself is called.
  for (const char* name : {"saves/config.yaml", "saves/plan.json", "saves/run.json"}) scratch.write(name, "");
  fs::create_directory(scratch / "saves/model");
  scratch.write("saves/model/config.json", "{}");
  CHECK(find_source(scratch / "saves/model").run == fs::canonical(scratch / "saves").string());
}

TEST_CASE("a folder that holds nothing but a model folder stands for that") {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "model");
  scratch.write("model/config.json", "{}");
  const ModelSource source = find_source(scratch.path());
  CHECK(source.folder == scratch / "model");
  CHECK(source.what == "a model folder");
  CHECK(source.run == "");
}

}  // namespace
