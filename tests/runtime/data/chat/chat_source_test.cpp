#include "runtime/data/chat/chat_source.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

std::string found_in(const ScratchFolder& folder) {
  const auto source = chat_of_folder(folder.path());
  return source ? source->program : "none";
}

}  // namespace

TEST_CASE("a folder's template: .jinja, chat_template.json, processor_config.json, tokenizer_config.json") {
  const ScratchFolder folder;
  const auto as_json = [](const char* program) { return Json{{"chat_template", program}}.dump(); };
  CHECK(found_in(folder) == "none");
  folder.write("tokenizer_config.json", Json{{"chat_template", nullptr}, {"model_max_length", 1e30}}.dump());
  CHECK(found_in(folder) == "none");
  folder.write("tokenizer_config.json", as_json("a"));
  CHECK(found_in(folder) == "a");
  CHECK(chat_of_folder(folder.path())->place == folder / "tokenizer_config.json: chat_template");
  folder.write("processor_config.json", as_json("b"));
  CHECK(found_in(folder) == "b");
  folder.write("chat_template.json", as_json("c"));
  CHECK(found_in(folder) == "c");
  folder.write("chat_template.jinja", "d");
  CHECK(found_in(folder) == "d");
  CHECK(chat_of_folder(folder.path())->place == folder / "chat_template.jinja");
}

TEST_CASE("named templates: a list in tokenizer_config.json, or files beside chat_template.jinja") {
  const ScratchFolder folder;
  folder.write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  auto source = chat_of_folder(folder.path());
  REQUIRE(source.has_value());
  CHECK(source->program == "d");
  CHECK(source->named == std::vector<std::pair<std::string, std::string>>{{"tool_use", "t"}});
  folder.write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "t"}]})");
  CHECK(contains(failure_of([&] { chat_of_folder(folder.path()); }).message,
                 "none of its templates has the name default"));
  folder.write("tokenizer_config.json", R"({"chat_template": 3})");
  CHECK(failure_of([&] { chat_of_folder(folder.path()); }).code == ExitCode::bad_data);
  folder.write("chat_template.jinja", "e");
  std::filesystem::create_directory(folder / "additional_chat_templates");
  folder.write("additional_chat_templates/tool_use.jinja", "u");
  source = chat_of_folder(folder.path());
  CHECK(source->program == "e");
  CHECK(source->named == std::vector<std::pair<std::string, std::string>>{{"tool_use", "u"}});
}

TEST_CASE("config.json says the template of remote-code InternVL and of PaliGemma") {
  const ScratchFolder folder;
  folder.write("chat_template.jinja", "own");
  folder.write("config.json", R"({"architectures": ["InternVLChatModel"], "template": "internvl2_5"})");
  CHECK(chat_of_folder(folder.path())->name == "internvl2_5");
  folder.write("config.json", R"({"architectures": ["InternVLChatModel"], "template": "Hermes-2"})");
  CHECK(chat_of_folder(folder.path())->name == "Hermes-2");
  folder.write("config.json", R"({"architectures": ["InternVLChatModel"], "template": "phi3-chat"})");
  const Failure failure = failure_of([&] { chat_of_folder(folder.path()); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(
      failure.message,
      "config.json: its template phi3-chat is not one of those known here; choose one with data.chat"));
  folder.write("config.json", R"({"architectures": ["InternVLChatModel"], "template": "internvl2_5",
                                  "chat_template_file": "chat_template.jinja"})");
  CHECK(found_in(folder) == "own");
  folder.write("config.json", R"({"model_type": "qwen2", "template": "internvl2_5"})");
  CHECK(found_in(folder) == "own");
  folder.write("config.json", R"({"model_type": "paligemma"})");
  CHECK(found_in(folder) == "own");
  std::filesystem::remove(folder / "chat_template.jinja");
  CHECK(chat_of_folder(folder.path())->prefix_suffix);
}

TEST_CASE("data.chat is a name or a file; an unknown name is a usage error with a proposal") {
  const ScratchFolder folder;
  CHECK(chat_by_name("vicuna").name == "vicuna");
  folder.write("mine.jinja", "m");
  CHECK(chat_by_name(folder / "mine.jinja").program == "m");
  CHECK(failure_of([&] { chat_by_name(folder / "none.jinja"); }).code == ExitCode::missing_input);
  CHECK(failure_of([] { chat_by_name("lava"); }) ==
        Failure{ExitCode::usage,
                "data.chat: there is no chat template \"lava\" (nor is that a FILE.jinja); did you mean "
                "\"llava\"?"});
  CHECK(failure_of([] { chat_by_name("Phi-3"); }).message ==
        "data.chat: there is no chat template \"Phi-3\" (nor is that a FILE.jinja); nearest: llama-3, "
        "Hermes-2, idefics3, ..; docs/data.md lists all");
}

TEST_CASE("the templates proposed instead are those most like the folder's name") {
  CHECK(
      ChatRemedy{"/models/Qwen2.5-VL-7B-Instruct/tokenizer_config.json: chat_template"}.text() ==
      "choose one with data.chat: NAME (qwen2.5, qwen2, qwen2-vl, ..; docs/data.md lists all) or data.chat: "
      "FILE.jinja");
  CHECK(contains(ChatRemedy{"the chat template internvl"}.text(), "NAME (internvl2_5, "));
}
