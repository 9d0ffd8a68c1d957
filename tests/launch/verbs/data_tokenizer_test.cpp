// `longsight data tokenizer`.
#include <filesystem>

#include <doctest/doctest.h>

#include "launch/samples/sample_maker.h"
#include "runtime/base/json.h"
#include "runtime/data/text/bpe_tokenizer.h"
#include "tests/launch/run_verb.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

namespace fs = std::filesystem;

const std::string kData = "configs/tiny/tiny.jsonl";

void learn(const std::string& out, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"data", "tokenizer", "--vocab", "300", kData, "--out", out};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const ExitCode code = run_verb(add_data, arguments).code;  // CHECK would keep what it throws
  CHECK(code == ExitCode::done);
}

}  // namespace

TEST_CASE("the tokenizer has the special tokens first, the size asked for, and the chat format") {
  const ScratchFolder scratch;
  learn(scratch / "new/tokenizer");
  const auto tokenizer = data::BpeTokenizer::from_folder(scratch / "new/tokenizer");
  const std::vector<std::string> special{"<unk>", "<s>", "</s>", "<image>", "<pad>"};
  for (std::size_t id = 0; id < special.size(); ++id) {
    CHECK(tokenizer.token(static_cast<i64>(id)) == special[id]);
    CHECK(tokenizer.is_special(static_cast<i64>(id)));
  }
  CHECK(tokenizer.vocab_size() == 300);
  CHECK(tokenizer.bos() == 1);
  CHECK(tokenizer.eos() == 2);
  CHECK(tokenizer.pad() == 4);
  // Pieces as they stand behind a role head; the role head itself is cheap.
  CHECK(tokenizer.id_of("Ġa").has_value());
  data::EncodeCache cache;
  CHECK(tokenizer.encode("ASSISTANT:", cache, false).ids.size() < 8);
  CHECK(data::chat_of_folder(scratch / "new/tokenizer")->program == data::chat_by_name("llava").program);
  CHECK(fs::exists(scratch / "new/tokenizer/chat_template.jinja"));
}

TEST_CASE("the chat format can be chosen among those that need no other special tokens") {
  const ScratchFolder scratch;
  learn(scratch / "t", {"--chat", "vicuna"});
  CHECK(data::chat_of_folder(scratch / "t")->program == data::chat_by_name("vicuna").program);
  CHECK(failure_of([&] { learn(scratch / "u", {"--chat", "qwen2-vl"}); }).code == ExitCode::usage);
  CHECK(failure_of([&] {
          run_verb(add_data, {"data", "tokenizer", "--vocab", "260", kData, "--out", scratch / "u"});
        }).code == ExitCode::usage);
  CHECK(failure_of([&] { run_verb(add_data, {"data"}); }).code == ExitCode::usage);
  CHECK(!fs::exists(scratch / "u"));
}

TEST_CASE("a tokenizer folder is replaced; a folder with other files only if forced") {
  const ScratchFolder scratch;
  learn(scratch / "t");
  const std::string first = contents_of(scratch / "t/tokenizer.json");
  scratch.write("t/tokenizer.json", "old");
  learn(scratch / "t");
  CHECK(contents_of(scratch / "t/tokenizer.json") == first);

  scratch.write("t/model.safetensors", "weights");
  const Failure refused = failure_of([&] { learn(scratch / "t"); });
  CHECK(refused.code == ExitCode::cannot_write);
  CHECK(contains(refused.message, "holds other files than a tokenizer's"));
  CHECK(contents_of(scratch / "t/model.safetensors") == "weights");
  learn(scratch / "t", {"--force"});
  CHECK(!fs::exists(scratch / "t/model.safetensors"));
  CHECK(contents_of(scratch / "t/tokenizer.json") == first);
}
