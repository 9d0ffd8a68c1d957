// `longsight generate` against transformers (tests/goldens/generate, made by
// scripts/make_generate_golden.py).
#include <sstream>

#include <doctest/doctest.h>

#include "runtime/data/records/record_file.h"
#include "tests/launch/run_verb.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

const std::string kGenerateCase = "tests/goldens/llava-clip-llama";

VerbResult generate(std::vector<std::string> more) {
  std::vector<std::string> arguments{"generate", "--model", kGenerateCase + "/model"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_verb(add_generate, arguments);
}

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

}  // namespace

TEST_CASE("the last turns of the golden samples are generated as transformers does") {
  const Json golden = read_json_file("tests/goldens/generate/llava-clip-llama.json");
  const auto lines = lines_of(
      generate({"--data", kGenerateCase + "/samples.jsonl", "--max-tokens", "24", "--dtype", "f64"}).out);
  const std::vector<i64> turns{0, 1, 0, 2, 0, 0, 1};
  REQUIRE(lines.size() == turns.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CHECK(lines[i]["generated"] == golden["samples"][i]["text"]);
    CHECK(lines[i]["id"] == fmt::format("{}/samples.jsonl:{}", kGenerateCase, i + 1));
    CHECK(lines[i]["turn"] == turns[i]);
    CHECK(lines[i]["exact"] == false);
    CHECK(lines[i].size() == 5);
  }
  CHECK(lines[6]["reference"] == "Also yes, it's gray.");
}

TEST_CASE(
    "an answer is exact if it is the reference apart from spaces around it, and ids are those of the data") {
  const Json golden = read_json_file("tests/goldens/generate/llava-clip-llama.json");
  const std::string text = golden["samples"][3]["text"];
  const ScratchFolder scratch;
  std::string data;
  for (const std::string& answer : {"  " + text + "\n", text + "x"}) {
    Json sample = data::RecordFile(kGenerateCase + "/samples.jsonl").json(3);
    for (Json& message : sample["messages"]) {
      for (Json& part : message["content"]) {
        if (part["type"] == "image")
          part["image"] =
              std::filesystem::absolute(kGenerateCase + "/" + part["image"].get<std::string>()).string();
      }
    }
    sample["messages"].back()["content"] = answer;
    sample["id"] = answer.substr(answer.size() - 1) == "x" ? "no" : "yes";
    data += sample.dump() + "\n";
  }
  std::filesystem::copy(kGenerateCase + "/images", scratch / "images");
  const std::string root = std::filesystem::absolute(kGenerateCase).string() + "/";
  for (std::size_t at = data.find(root); at != std::string::npos; at = data.find(root))
    data.erase(at, root.size());
  scratch.write("data.jsonl", data);
  const auto lines =
      lines_of(generate({"--data", scratch / "data.jsonl", "--max-tokens", "24", "--dtype", "f64"}).out);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["id"] == "yes");
  CHECK(lines[0]["exact"] == true);
  CHECK(lines[1]["id"] == "no");
  CHECK(lines[1]["exact"] == false);
  CHECK(lines_of(generate({"--data", scratch / "data.jsonl", "--max-tokens", "1", "--limit", "1"}).out)
            .size() == 1);
}

TEST_CASE("a prompt with images is answered as the same sample of a data set") {
  const Json golden = read_json_file("tests/goldens/generate/llava-clip-llama.json");
  std::string expected = golden["samples"][2]["text"];
  expected.erase(0, expected.find_first_not_of(' '));
  const VerbResult result = generate(
      {"--image", kGenerateCase + "/images/photo.jpg", "--image", kGenerateCase + "/images/exif6.jpg",
       "--prompt", "Compare the first image with the second image.", "--max-tokens", "24", "--dtype", "f64"});
  CHECK(result.code == ExitCode::done);
  CHECK(result.out == expected + "\n");
}

TEST_CASE("wrong options of generate are usage errors") {
  const std::vector<std::vector<std::string>> wrong{
      {},
      {"--prompt", "x", "--data", "y"},
      {"--data", kGenerateCase + "/samples.jsonl", "--image", "a.png"},
      {"--prompt", "x", "--max-tokens", "0"},
      {"--prompt", "x", "--dtype", "i32"},
      {"--prompt", "x", "--dtype", "f65"},
      {"--prompt", "x", "--chat", "none"},
      {"--prompt", "x", "--limit", "-1"},
      {"--data", kGenerateCase + "/samples.jsonl", "--limit", "0"},
  };
  for (const auto& options : wrong) CHECK(failure_of([&] { generate(options); }).code == ExitCode::usage);
}
