#include <map>
#include <numeric>

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/io/safetensors.h"
#include "tests/support/failure.h"
#include "tests/support/path_escapes.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::io;
namespace fs = std::filesystem;

namespace {

struct Model {
  std::vector<OwnedTensor> values;
  std::vector<NamedTensor> tensors;

  // Tensors "t0", "t1", ... of so many f32 elements, each with values of its own.
  explicit Model(const std::vector<i64>& sizes) {
    float next = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      values.emplace_back(DType::F32, Shape{sizes[i]});
      std::iota(values[i]->host<float>(), values[i]->host<float>() + sizes[i], next);
      next += static_cast<float>(sizes[i]);
      tensors.push_back({fmt::format("t{}", i), values[i], DType::F32});
    }
  }

  void check_in(const SafetensorsSet& set) const {
    REQUIRE(set.entries().size() == tensors.size());
    for (const NamedTensor& tensor : tensors) {
      CAPTURE(tensor.name);
      const OwnedTensor back = set.read(tensor.name);
      CHECK(back->shape() == tensor.value.shape());
      CHECK(std::equal(back->host<float>(), back->host<float>() + back->elements(),
                       tensor.value.host<float>()));
      CHECK(set.find(tensor.name)->shape == tensor.value.shape());
    }
  }
};

void write_index(const std::string& folder, const std::map<std::string, std::string>& weight_map) {
  write_file(folder + "/model.safetensors.index.json",
             Json{{"metadata", {{"total_size", 1}}}, {"weight_map", weight_map}}.dump());
}

std::string refusal(const std::string& path, ExitCode code = ExitCode::bad_data) {
  const Failure failure = failure_of([&] { SafetensorsSet set(path); });
  CHECK(failure.code == code);
  return failure.message;
}

}  // namespace

TEST_CASE("a small checkpoint is one file, found by the folder or by its own name") {
  const ScratchFolder folder;
  const Model model({3, 4});
  write_safetensors_folder(folder.path(), model.tensors);
  CHECK(folder.entries() == 1);
  model.check_in(SafetensorsSet(folder.path()));
  model.check_in(SafetensorsSet(folder / "model.safetensors"));
  CHECK(SafetensorsSet(folder.path()).files().size() == 1);
}

TEST_CASE("a large checkpoint is cut into shards in the order given") {
  const ScratchFolder folder;
  // In bytes 40 + 20 | 80 | 160 (alone above the limit) | 60 + 4
  const Model model({10, 5, 20, 40, 15, 1});
  write_safetensors_folder(folder.path(), model.tensors, kTorchMetadata, 80);
  const Json index = read_json_file(folder / "model.safetensors.index.json");
  CHECK(index["metadata"]["total_size"] == 364);
  const auto shard = [](int i) { return fmt::format("model-{:05}-of-00004.safetensors", i); };
  const Json expected{{"t0", shard(1)}, {"t1", shard(1)}, {"t2", shard(2)},
                      {"t3", shard(3)}, {"t4", shard(4)}, {"t5", shard(4)}};
  CHECK(index["weight_map"] == expected);
  CHECK(folder.entries() == 5);
  const SafetensorsSet set(folder.path());
  CHECK(set.files().size() == 4);
  CHECK(set.files()[0].metadata() == kTorchMetadata);
  model.check_in(set);
  const OwnedTensor part(DType::F64, {2});
  set.read_range("t5", 0, OwnedTensor(DType::F32, {1}));
  set.read_range("t3", 38, part);
  CHECK(part->host<double>()[1] == 10 + 5 + 20 + 39);
  CHECK(failure_of([&] { set.read("t6"); }) ==
        Failure{ExitCode::bad_data, folder.path() + ": no tensor \"t6\" in any of its 4 files"});
  CHECK(set.find("t6") == nullptr);
}

TEST_CASE("a shard may be filled to its last byte") {
  const ScratchFolder folder;
  const Model model({10, 10});
  write_safetensors_folder(folder.path(), model.tensors, kTorchMetadata, 80);
  CHECK(fs::exists(folder / "model.safetensors"));
  const ScratchFolder other;
  write_safetensors_folder(other.path(), model.tensors, kTorchMetadata, 79);
  CHECK(fs::exists(other / "model-00002-of-00002.safetensors"));
}

TEST_CASE("a folder that holds a checkpoint is not written over") {
  const ScratchFolder folder;
  const Model model({1});
  write_safetensors_folder(folder.path(), model.tensors);
  CHECK(failure_of([&] { write_safetensors_folder(folder.path(), model.tensors); }).code ==
        ExitCode::cannot_write);
  fs::rename(folder / "model.safetensors", folder / "model.safetensors.index.json");
  CHECK(failure_of([&] { write_safetensors_folder(folder.path(), model.tensors); }).code ==
        ExitCode::cannot_write);
}

TEST_CASE("what is missing is named") {
  const ScratchFolder folder;
  CHECK(refusal(folder / "none", ExitCode::missing_input) ==
        "cannot read " + (folder / "none") + ": No such file or directory");
  CHECK(refusal(folder.path(), ExitCode::missing_input) ==
        folder.path() + " has neither model.safetensors nor model.safetensors.index.json");
  write_index(folder.path(), {{"a", "gone.safetensors"}});
  CHECK(refusal(folder.path(), ExitCode::missing_input) ==
        "cannot read " + (folder / "gone.safetensors") + ", named in " +
            (folder / "model.safetensors.index.json") + ": No such file or directory");
}

TEST_CASE("index and shards must agree in both directions") {
  const ScratchFolder folder;
  const Model model({1, 2, 3});
  write_safetensors(folder / "a", std::span(model.tensors).subspan(0, 2));
  write_safetensors(folder / "b", std::span(model.tensors).subspan(2, 1));
  const std::string index = folder / "model.safetensors.index.json";
  write_index(folder.path(), {{"t0", "a"}, {"t1", "a"}, {"t2", "b"}});
  model.check_in(SafetensorsSet(folder.path()));

  write_index(folder.path(), {{"t0", "a"}, {"t1", "b"}, {"t2", "b"}});
  CHECK(refusal(folder.path()) == index + ": tensor \"t1\" should be in " + (folder / "b") + ", but is not");
  write_index(folder.path(), {{"t0", "a"}, {"t1", "a"}, {"t2", "b"}, {"t3", "b"}});
  CHECK(refusal(folder.path()) == index + ": tensor \"t3\" should be in " + (folder / "b") + ", but is not");
  write_index(folder.path(), {{"t0", "a"}, {"t2", "b"}});
  CHECK(refusal(folder.path()) ==
        index + ": tensor \"t1\" is in " + (folder / "a") + ", but the index does not list it");

  write_safetensors(folder / "b", std::span(model.tensors).subspan(1, 2));  // t1 in both
  write_index(folder.path(), {{"t0", "a"}, {"t1", "a"}, {"t2", "b"}});
  CHECK(refusal(folder.path()) ==
        index + ": tensor \"t1\" is in " + (folder / "b") + ", but the index says a");
}

TEST_CASE("an index that is no index is refused") {
  const ScratchFolder folder;
  const std::string index = folder / "model.safetensors.index.json";
  for (const char* text : {"", "[]", "{}", "{\"weight_map\": []}", "{\"weight_map\": {\"a\": 1}}",
                           "{\"weight_map\": {\"a\": \"x\", \"a\": \"x\"}}"}) {
    CAPTURE(text);
    folder.write("model.safetensors.index.json", text);
    CHECK(refusal(folder.path()).starts_with(index + ":"));
  }
}

TEST_CASE("a shard's name cannot reach beyond the folder") {
  const ScratchFolder outside;
  const Model model({1});
  write_safetensors(outside / "secret", model.tensors);
  fs::create_directory(outside / "model");
  const std::string folder = outside / "model";
  fs::create_directory(folder + "/deep");
  fs::copy_file(outside / "secret", folder + "/deep/x");
  for (const std::string& name :
       {std::string("../secret"), outside / "secret", std::string(".."), std::string("."), std::string(""),
        std::string("deep/x"), std::string("./deep/x"), std::string("deep\\x"), std::string("..\\secret"),
        std::string("a\0b", 3), std::string("a\nb"), std::string("/")}) {
    CAPTURE(name);
    write_index(folder, {{"t0", name}});
    CHECK(contains(refusal(folder), "is not the plain name of a file in the same folder"));
  }
  write_index(folder, {{"t0", "..%2fsecret"}});  // a plain name that is not there
  CHECK(contains(refusal(folder, ExitCode::missing_input), "No such file"));

  fs::create_symlink("../secret", folder + "/link");
  write_index(folder, {{"t0", "link"}});
  CHECK(contains(refusal(folder), "link is a link that leads out of the folder, to "));
  fs::create_symlink("deep", folder + "/folder_link");
  write_index(folder, {{"t0", "folder_link"}});
  CHECK(failure_of([&] { SafetensorsSet set(folder); }).code == ExitCode::missing_input);

  fs::create_symlink("real", folder + "/inner");
  fs::copy_file(outside / "secret", folder + "/real");
  write_index(folder, {{"t0", "inner"}});
  model.check_in(SafetensorsSet(folder));
}

TEST_CASE("sixty ways out of the folder of an index are refused") {
  const ScratchFolder outside;
  const Model model({1});
  fs::create_directories(outside / "folder/sub");
  const std::string folder = outside / "folder";
  write_safetensors(outside / "secret", model.tensors);
  fs::create_symlink("../secret", folder + "/link");
  fs::create_directory_symlink("..", folder + "/up");
  const std::vector<std::string> ways = path_escapes(outside.path());
  CHECK(ways.size() >= 60);
  for (const std::string& way : ways) {
    CAPTURE(way);
    write_index(folder, {{"t0", way}});
    const Failure failure = failure_of([&] { SafetensorsSet set(folder); });
    CHECK((failure.code == ExitCode::bad_data || failure.code == ExitCode::missing_input));
  }
}

TEST_CASE("a folder of the Hugging Face cache links to its blobs, and to nothing else") {
  const ScratchFolder cache;
  const Model model({1});
  fs::create_directories(cache / "snapshots/abc");
  fs::create_directory(cache / "blobs");
  write_safetensors(cache / "blobs/0123", model.tensors);
  fs::copy_file(cache / "blobs/0123", cache / "secret");
  fs::create_symlink("../../blobs/0123", cache / "snapshots/abc/x");
  write_index(cache / "snapshots/abc", {{"t0", "x"}});
  model.check_in(SafetensorsSet(cache / "snapshots/abc"));
  fs::create_symlink("../../secret", cache / "snapshots/abc/y");
  write_index(cache / "snapshots/abc", {{"t0", "y"}});
  CHECK(contains(refusal(cache / "snapshots/abc"), "leads out of the folder"));
}
