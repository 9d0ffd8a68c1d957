#include "runtime/data/text/vocab_files.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "tests/runtime/data/text/tokenizer_goldens.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

// A folder with the vocabulary and merges of a golden model, and `files` beside them.
void write_folder(const ScratchFolder& folder, const Json& files) {
  const Json model = read_json_file("tests/goldens/internvl-qwen2/model/tokenizer.json")["model"];
  folder.write("vocab.json", model["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const Json& pair : model["merges"])
    merges += pair[0].get<std::string>() + " " + pair[1].get<std::string>() + "\n";
  folder.write("merges.txt", merges);
  for (const auto& [name, content] : files.items()) folder.write(name, content.dump());
}

Failure failure_with(const Json& files) {
  const ScratchFolder folder;
  write_folder(folder, files);
  return failure_of([&] { read_tokenizer(folder.path()); });
}

}  // namespace

TEST_CASE("vocab.json and merges.txt give the ids that transformers gives") {
  const Json cases = read_json_file("tests/goldens/tokenizer/vocab_files.json");
  REQUIRE(cases.size() >= 7);
  for (const Json& one : cases) {
    const std::string name = one["name"];
    CAPTURE(name);
    const ScratchFolder folder;
    write_folder(folder, one["files"]);
    const auto tokenizer = read_tokenizer(folder.path());
    check_texts(*tokenizer, one);
    const auto role = [&](const char* key) {
      const Json& id = one["roles"][key];
      return id.is_null() ? std::optional<i64>() : id.get<i64>();
    };
    CHECK(tokenizer->bos() == role("bos"));
    CHECK(tokenizer->eos() == role("eos"));
    CHECK(tokenizer->pad() == role("pad"));
  }
}

TEST_CASE("without a tokenizer class config.json says which one it is") {
  const ScratchFolder folder;
  write_folder(folder, {{"config.json", {{"model_type", "qwen2_vl"}}}});
  EncodeCache cache;
  const Encoding of_digits = read_tokenizer(folder.path())->encode("12", cache);
  CHECK(of_digits.ids.size() == 2);  // one by one, as Qwen2 has them
}

TEST_CASE("vocab.json and merges.txt of another class, or in pieces, are refused with a remedy") {
  const Failure other = failure_with({{"tokenizer_config.json", {{"tokenizer_class", "CodeGenTokenizer"}}}});
  CHECK(other.code == ExitCode::bad_data);
  CHECK(contains(other.message, "this is CodeGenTokenizer"));
  CHECK(contains(other.message, "save_pretrained"));
  CHECK(contains(failure_with(Json::object()).message, "of a class that no file names"));

  const Json qwen2{{"tokenizer_class", "Qwen2Tokenizer"},
                   {"added_tokens_decoder", {{"700", {{"content", "<a>"}, {"special", true}}}}}};
  const Failure two = failure_with({{"tokenizer_config.json", qwen2}, {"added_tokens.json", {{"<a>", 701}}}});
  CHECK(two.code == ExitCode::bad_data);
  CHECK(contains(two.message, "added_tokens.json: \"<a>\" has the id 701, but added_tokens_decoder"));

  const ScratchFolder folder;
  write_folder(folder, {{"tokenizer_config.json", qwen2}});
  folder.write("merges.txt", "#version: 0.2\nt h\nt h e\n");
  CHECK(contains(failure_of([&] { read_tokenizer(folder.path()); }).message,
                 "merges.txt:3: \"t h e\" is not a pair"));
  std::filesystem::remove(folder / "merges.txt");
  const Failure missing = failure_of([&] { read_tokenizer(folder.path()); });
  CHECK(missing.code == ExitCode::missing_input);
  CHECK(contains(missing.message, "merges.txt is not there"));
}
