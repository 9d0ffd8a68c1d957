#include "runtime/data/chat.h"

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

ChatMessage say(Role role, std::vector<ChatPart> parts) {
  return {.role = role, .parts = std::move(parts), .loss = role == Role::assistant};
}
ChatPart text(std::string value) {
  return {.text = std::move(value)};
}
ChatPart image() {
  return {.kind = PartKind::image};
}

ChatSample conversation() {
  return {.where = "f.jsonl:7",
          .id = {},
          .messages = {say(Role::user, {text("Look: "), image(), text("What?")}),
                       say(Role::assistant, {text("A "), text("cat.")}),
                       say(Role::user, {image(), text("And?")}), say(Role::assistant, {text("Höhle.")})},
          .media = {{.frames = {{.path = "a.png"}}}, {.frames = {{.path = "b.png"}}}}};
}

const std::vector<i64> kCounts{2, 1};

// The supervised texts, each in brackets.
std::string supervised(const RenderedChat& chat) {
  std::string all;
  for (const ByteSpan& span : chat.supervised) {
    all += "[" +
           chat.text.substr(static_cast<std::size_t>(span.begin),
                            static_cast<std::size_t>(span.end - span.begin)) +
           "]";
  }
  return all;
}

RenderedChat render(const char* format, const ChatSample& sample) {
  return render_chat(chat_format(format), sample, "<i>", kCounts);
}

std::string prompt(const char* format, const ChatSample& sample) {
  return render_prompt(chat_format(format), sample, "<i>", kCounts).text;
}

}  // namespace

TEST_CASE("llava: images first, an end-of-turn token behind each answer") {
  const RenderedChat chat = render("llava", conversation());
  CHECK(chat.text == "USER: <i><i>\nLook: What? ASSISTANT: A cat.</s>USER: <i>\nAnd? ASSISTANT: Höhle.</s>");
  CHECK(supervised(chat) == "[A cat.</s>][Höhle.</s>]");
  CHECK(chat.images == 2);
}

TEST_CASE("llava-hub: a space behind each text, no end-of-turn token") {
  const RenderedChat chat = render("llava-hub", conversation());
  CHECK(chat.text == "USER: <i><i>\nLook:  What? ASSISTANT: A  cat. USER: <i>\nAnd? ASSISTANT: Höhle. ");
  CHECK(supervised(chat) == "[A  cat.][Höhle.]");
}

TEST_CASE("vicuna: a system sentence unless the conversation has one") {
  const std::string sentence =
      "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
      "detailed, "
      "and polite answers to the user's questions. ";
  const std::string rest =
      "USER: <i><i>\nLook: What? ASSISTANT: A cat.</s>USER: <i>\nAnd? ASSISTANT: Höhle.</s>";
  ChatSample sample = conversation();
  CHECK(render("vicuna", sample).text == sentence + rest);
  sample.messages.insert(sample.messages.begin(), say(Role::system, {text("Be brief.")}));
  CHECK(render("vicuna", sample).text == "Be brief. " + rest);
  CHECK(render("llava", sample).text == "Be brief. " + rest);
  CHECK(supervised(render("vicuna", sample)) == "[A cat.</s>][Höhle.</s>]");
}

TEST_CASE("internvl and qwen2-vl: ChatML with images in place") {
  CHECK(
      render("internvl", conversation()).text ==
      "<|im_start|>user\nLook: <img><i><i></img>\nWhat?<|im_end|>\n<|im_start|>assistant\nA cat.<|im_end|>\n"
      "<|im_start|>user\n<img><i></img>\nAnd?<|im_end|>\n<|im_start|>assistant\nHöhle.<|im_end|>\n");
  const RenderedChat chat = render("qwen2-vl", conversation());
  CHECK(chat.text ==
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nLook: "
        "<|vision_start|><i><i><|vision_end|>What?<|im_end|>\n<|im_start|>assistant\nA "
        "cat.<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|><i><|vision_end|>And?<|im_end|>\n<|im_start|>assistant\nHöhle.<|im_end|>\n");
  CHECK(supervised(chat) == "[A cat.<|im_end|>][Höhle.<|im_end|>]");
}

TEST_CASE("a message without loss is rendered and not supervised") {
  ChatSample sample = conversation();
  sample.messages[1].loss = false;
  CHECK(render("llava", sample).text == render("llava", conversation()).text);
  CHECK(supervised(render("llava", sample)) == "[Höhle.</s>]");
}

TEST_CASE("a prompt ends with the head of the last answer and supervises nothing") {
  ChatSample sample = conversation();
  CHECK(prompt("llava", sample) ==
        "USER: <i><i>\nLook: What? ASSISTANT: A cat.</s>USER: <i>\nAnd? ASSISTANT:");
  CHECK(prompt("llava-hub", sample).ends_with("And? ASSISTANT:"));
  CHECK(prompt("internvl", sample).ends_with("And?<|im_end|>\n<|im_start|>assistant\n"));
  CHECK(render_prompt(chat_format("llava"), sample, "<i>", kCounts).supervised.empty());
  sample.messages.push_back(
      say(Role::user, {text("Thanks")}));  // behind the last answer: not part of its prompt
  CHECK(prompt("llava", sample).ends_with("And? ASSISTANT:"));
  sample.messages.resize(2);
  CHECK(prompt("llava", sample) == "USER: <i><i>\nLook: What? ASSISTANT:");
  CHECK(render_prompt(chat_format("llava"), sample, "<i>", kCounts).images == 1);
  sample.messages.resize(1);  // only a question
  CHECK(prompt("llava", sample) == "USER: <i><i>\nLook: What? ASSISTANT:");
}

TEST_CASE("texts and prompts are those of transformers' apply_chat_template") {
  for (const Json& one : read_json_file("tests/goldens/tokenizer/chats.json")) {
    const std::string name = one["format"];
    ChatSample sample{.where = "here", .id = {}, .messages = {}, .media = {}};
    std::vector<i64> counts;
    for (const Json& message : one["messages"]) {
      const std::string role = message["role"];
      std::vector<ChatPart> parts;
      for (const Json& part : message["content"]) {
        if (part["type"] == "image") counts.push_back(1);
        parts.push_back(part["type"] == "image" ? image() : text(part["text"]));
      }
      sample.messages.push_back(say(role == "system" ? Role::system
                                    : role == "user" ? Role::user
                                                     : Role::assistant,
                                    std::move(parts)));
    }
    // transformers' text still has one placeholder for an image; the processor puts the tokens and <img>
    // there.
    ChatFormat format = chat_format(name);
    if (name == "internvl") format.image_open = format.image_close = "";
    const std::string token = one["image_token"];
    CAPTURE(name);
    CHECK(render_chat(format, sample, token, counts).text == one["text"].get<std::string>());
    CHECK(render_prompt(format, sample, token, counts).text == one["prompt"].get<std::string>());
  }
}

TEST_CASE("image counts that do not fit the messages are errors that name the sample") {
  const std::vector<i64> one{2}, three{1, 1, 1}, zero{2, 0};
  const ChatFormat& llava = chat_format("llava");
  CHECK(failure_of([&] { render_chat(llava, conversation(), "<i>", one); }) ==
        Failure{ExitCode::bad_data, "f.jsonl:7: more images in the messages than the 1 of the sample"});
  CHECK(failure_of([&] { render_chat(llava, conversation(), "<i>", three); }) ==
        Failure{ExitCode::bad_data, "f.jsonl:7: 3 images, but 2 places for one in the messages"});
  CHECK(failure_of([&] { render_chat(llava, conversation(), "<i>", zero); }).message ==
        "f.jsonl:7: image 2 would have 0 tokens");
}

TEST_CASE("templates are recognised by their text, comments and marks aside") {
  for (const ChatFormat& format : chat_formats()) {
    REQUIRE(match_chat_template(format.chat_template) != nullptr);
    CHECK(match_chat_template(format.chat_template)->name == format.name);
  }
  CHECK(match_chat_template(chat_format("llava").chat_template + "\n")->name == "llava");
  // The hub's older template has no generation marks; spaces inside of tags mean nothing.
  std::string hub = chat_format("llava-hub").chat_template;
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"{% generation %}", ""},
                                 {"{% endgeneration %}", ""},
                                 {"{# Render all text next #}", ""},
                                 {"+ ': '}}", "+  ': ' }}"}}) {
    const std::size_t at = hub.find(from);
    REQUIRE(at != std::string::npos);
    hub.replace(at, from.size(), to);
  }
  CHECK(match_chat_template(hub)->name == "llava-hub");
  std::string escaped = chat_format("llava").chat_template;  // a .jinja file writes \n
  escaped.replace(escaped.find('\n'), 1, "\\n");
  CHECK(match_chat_template(escaped)->name == "llava");
  std::string other = chat_format("llava").chat_template;
  other.replace(other.find("'USER: '"), 8, "'USER : '");  // a space in a text does matter
  CHECK(match_chat_template(other) == nullptr);
  CHECK(match_chat_template("") == nullptr);
  CHECK(match_chat_template("{% for") == nullptr);
}

TEST_CASE("a folder's template: .jinja, then chat_template.json, then tokenizer_config.json") {
  CHECK(chat_format_of_folder("tests/goldens/llava-clip-llama/model").name == "llava");
  const ScratchFolder folder;
  const auto as_json = [](const char* format) {
    return Json{{"chat_template", chat_format(format).chat_template}}.dump();
  };
  const auto found = [&folder] { return chat_format_of_folder(folder.path()).name; };
  CHECK(failure_of([&] { found(); }).code == ExitCode::bad_data);
  folder.write(
      "tokenizer_config.json",
      Json{{"chat_template", {{{"name", "default"}, {"template", chat_format("vicuna").chat_template}}}},
           {"model_max_length", 1e30}}
          .dump());
  CHECK(found() == "vicuna");
  folder.write("chat_template.json", as_json("internvl"));
  CHECK(found() == "internvl");
  folder.write("chat_template.jinja", chat_format("llava-hub").chat_template);
  CHECK(found() == "llava-hub");
  folder.write("chat_template.jinja", "{{ messages }}");
  const Failure failure = failure_of([&] { found(); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(failure.message ==
        (folder / "chat_template.jinja") +
            ": its chat template is not one of those known here; choose a format with data.chat: FORMAT, "
            "one of llava, llava-hub, vicuna, internvl, qwen2-vl");
}

TEST_CASE("an unknown format name is a usage error with a proposal") {
  const Failure failure = failure_of([] { chat_format("lava"); });
  CHECK(failure.code == ExitCode::usage);
  CHECK(failure.message == "data.chat: there is no chat format \"lava\"; did you mean \"llava\"?");
}
