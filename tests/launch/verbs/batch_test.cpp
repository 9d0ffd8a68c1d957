// `longsight batch` against what the Hugging Face processor makes of the golden samples.
#include <cmath>
#include <filesystem>

#include <doctest/doctest.h>

#include "runtime/io/safetensors.h"
#include "tests/launch/run_verb.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

namespace fs = std::filesystem;

const std::string kBatchCase = "tests/goldens/llava-clip-llama";

VerbResult batch(const std::string& out) {
  return run_verb(add_batch, {"batch", "--model", kBatchCase + "/model", "--data",
                              kBatchCase + "/samples.jsonl", "--out", out});
}

}  // namespace

TEST_CASE("batch writes the tensors of the golden samples: names, types, shapes, ids and pixels") {
  const ScratchFolder scratch;
  CHECK(batch(scratch / "out").code == ExitCode::done);
  i64 files = 0;
  for (const auto& entry : fs::directory_iterator(scratch / "out")) {
    const std::string name = entry.path().filename().string();
    CAPTURE(name);
    const io::SafetensorsFile got(entry.path().string()), expected(kBatchCase + "/expected_samples/" + name);
    ++files;
    REQUIRE(got.entries().size() == expected.entries().size());
    for (const io::TensorEntry& tensor : expected.entries()) {
      const io::TensorEntry* mine = got.find(tensor.name);
      REQUIRE(mine != nullptr);
      REQUIRE(mine->dtype == tensor.dtype);
      REQUIRE(mine->shape == tensor.shape);
      const OwnedTensor a = got.read(tensor.name), b = expected.read(tensor.name);
      double worst = 0;
      for (i64 i = 0; i < a->elements(); ++i) {
        worst =
            std::max(worst, tensor.dtype == DType::I64
                                ? static_cast<double>(std::abs(a->host<i64>()[i] - b->host<i64>()[i]))
                                : std::abs(static_cast<double>(a->host<float>()[i]) - b->host<float>()[i]));
      }
      CHECK(worst <= (tensor.dtype == DType::I64 ? 0 : 1e-6));  // one grey level is 1.4e-2
    }
  }
  CHECK(files == 7);
}

TEST_CASE("the time between the frames of videos is written with them") {
  const std::string model = "tests/goldens/qwen2_5-vl/model";
  const ScratchFolder scratch;
  const auto video = [](const std::string& more) {
    return fmt::format(R"({{"type": "video", "video": ["{0}", "{0}", "{0}", "{0}"]{1}}})", "tiny.png", more);
  };
  fs::copy_file("tests/goldens/qwen2_5-vl/images/tiny.png", scratch / "tiny.png");
  scratch.write("data.jsonl", fmt::format(R"({{"messages": [{{"role": "user", "content": [{}, {}]}}, )"
                                          R"({{"role": "assistant", "content": "x"}}]}})"
                                          "\n",
                                          video(R"(, "fps": 1.0)"), video("")));
  CHECK(run_verb(add_batch,
                 {"batch", "--model", model, "--data", scratch / "data.jsonl", "--out", scratch / "out"})
            .code == ExitCode::done);
  const OwnedTensor seconds = io::SafetensorsFile(scratch / "out/000.safetensors").read("second_per_grid_ts");
  REQUIRE(seconds->shape() == Shape{2});
  REQUIRE(seconds->dtype() == DType::F32);
  CHECK(seconds->host<float>()[0] == 2);  // two frames are a temporal patch
  CHECK(seconds->host<float>()[1] == 1);  // not known
}

TEST_CASE("an empty folder may be the output, one with files may not, and a failure leaves nothing") {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "out");
  CHECK(batch(scratch / "out").code == ExitCode::done);
  const Failure second = failure_of([&] { batch(scratch / "out"); });
  CHECK(second.code == ExitCode::cannot_write);
  CHECK(contains(second.message, "exists already and is not an empty folder"));
  CHECK(fs::exists(scratch / "out/006.safetensors"));

  const std::string line =
      R"({"messages": [{"role": "user", "content": [{"type": "image", "image": "a.png"}]}, )"
      R"({"role": "assistant", "content": "x"}]})";
  scratch.write("a.png", "no image");
  scratch.write("data.jsonl", line + "\n");
  const Failure broken = failure_of([&] {
    run_verb(add_batch, {"batch", "--model", kBatchCase + "/model", "--data", scratch / "data.jsonl", "--out",
                         scratch / "new"});
  });
  CHECK(broken.code == ExitCode::bad_data);
  CHECK(contains(broken.message, scratch / "a.png"));
  CHECK(!fs::exists(scratch / "new"));
  CHECK(scratch.entries() == 3);
}
