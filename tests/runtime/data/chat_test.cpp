#include "runtime/data/chat.h"

#include <set>

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

const std::vector<std::string> kMedia{"<i><i>", "<i>"};

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
  return render_chat(chat_format(format), sample, kMedia);
}

std::string prompt(const char* format, const ChatSample& sample) {
  return render_prompt(chat_format(format), sample, kMedia).text;
}

}  // namespace

TEST_CASE("llava: images first, an end-of-turn token behind each answer") {
  const RenderedChat chat = render("llava", conversation());
  CHECK(chat.text == "USER: <i><i>\nLook: What? ASSISTANT: A cat.</s>USER: <i>\nAnd? ASSISTANT: Höhle.</s>");
  CHECK(supervised(chat) == "[A cat.</s>][Höhle.</s>]");
  CHECK(chat.media == 2);
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
  CHECK(render("internvl", conversation()).text ==
        "<|im_start|>user\nLook: <i><i>\nWhat?<|im_end|>\n<|im_start|>assistant\nA cat.<|im_end|>\n"
        "<|im_start|>user\n<i>\nAnd?<|im_end|>\n<|im_start|>assistant\nHöhle.<|im_end|>\n");
  const RenderedChat chat = render("qwen2-vl", conversation());
  CHECK(chat.text ==
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nLook: "
        "<i><i>What?<|im_end|>\n<|im_start|>assistant\nA "
        "cat.<|im_end|>\n<|im_start|>user\n"
        "<i>And?<|im_end|>\n<|im_start|>assistant\nHöhle.<|im_end|>\n");
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
  CHECK(render_prompt(chat_format("llava"), sample, kMedia).supervised.empty());
  sample.messages.push_back(
      say(Role::user, {text("Thanks")}));  // behind the last answer: not part of its prompt
  CHECK(prompt("llava", sample).ends_with("And? ASSISTANT:"));
  sample.messages.resize(2);
  CHECK(prompt("llava", sample) == "USER: <i><i>\nLook: What? ASSISTANT:");
  CHECK(render_prompt(chat_format("llava"), sample, kMedia).media == 1);
  sample.messages.resize(1);  // only a question
  CHECK(prompt("llava", sample) == "USER: <i><i>\nLook: What? ASSISTANT:");
}

TEST_CASE("texts and prompts are those of transformers' apply_chat_template") {
  std::set<std::string> seen;
  for (const Json& one : read_json_file("tests/goldens/tokenizer/chats.json")) {
    const std::string name = one["format"];
    seen.insert(name);
    ChatSample sample{.where = "here", .id = {}, .messages = {}, .media = {}};
    std::vector<std::string> texts;
    for (const Json& message : one["messages"]) {
      const std::string role = message["role"];
      std::vector<ChatPart> parts;
      for (const Json& part : message["content"]) {
        const std::string type = part["type"];
        if (type != "text") texts.push_back(one[type]);
        parts.push_back(type == "text"    ? text(part["text"])
                        : type == "image" ? image()
                                          : ChatPart{.kind = PartKind::video});
      }
      sample.messages.push_back(say(role == "system" ? Role::system
                                    : role == "user" ? Role::user
                                                     : Role::assistant,
                                    std::move(parts)));
    }
    CAPTURE(name);
    CHECK(render_chat(chat_format(name), sample, texts).text == one["text"].get<std::string>());
    CHECK(render_prompt(chat_format(name), sample, texts).text == one["prompt"].get<std::string>());
  }
  for (const ChatFormat& format : chat_formats())
    CHECK(seen.contains(format.name) != format.templates.empty());
}

TEST_CASE("smolvlm: a space behind the head unless an image comes first") {
  const RenderedChat chat = render("smolvlm", conversation());
  CHECK(chat.text ==
        "<|im_start|>User: Look: <i><i>What?<end_of_utterance>\nAssistant: A cat.<end_of_utterance>\n"
        "User:<i>And?<end_of_utterance>\nAssistant: Höhle.<end_of_utterance>\n");
  CHECK(supervised(chat) == "[A cat.<end_of_utterance>][Höhle.<end_of_utterance>]");
}

TEST_CASE("paligemma: media, BOS and the question with a line break, then apart from it the answer") {
  ChatSample sample = conversation();
  sample.messages.resize(2);
  sample.media.resize(1);
  const std::vector<std::string> media{"<i><i>"};
  const RenderedChat chat = render_chat(chat_format("paligemma"), sample, media);
  CHECK(chat.text == "<i><i><bos>Look: What?\nA cat.<eos>");
  CHECK(supervised(chat) == "[A cat.<eos>]");
  REQUIRE(chat.suffix);
  CHECK(chat.text.substr(static_cast<std::size_t>(*chat.suffix)) == "A cat.<eos>");
  const RenderedChat prompt = render_prompt(chat_format("paligemma"), sample, media);
  CHECK(prompt.text == "<i><i><bos>Look: What?\n");
  CHECK(prompt.suffix == static_cast<i64>(prompt.text.size()));
  CHECK(
      failure_of([&] { render_chat(chat_format("paligemma"), conversation(), kMedia); }) ==
      Failure{ExitCode::bad_data,
              "f.jsonl:7: the chat format paligemma takes one message of the user and one of the assistant, "
              "not 4 messages"});
}

TEST_CASE(
    "llama-2: contents without spaces around them, the end-of-turn token with the space in front of it") {
  const ChatSample sample{
      .where = "f.jsonl:7",
      .id = {},
      .messages = {say(Role::system, {text("Be brief.")}), say(Role::user, {text(" Hi ")}),
                   say(Role::assistant, {text(" Ho\n")})},
      .media = {}};
  const RenderedChat chat = render_chat(chat_format("llama-2"), sample, {});
  CHECK(chat.text == "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hi [/INST] Ho </s>");
  CHECK(supervised(chat) == "[Ho </s>]");
}

TEST_CASE("an image in an answer is not supervised, what stands around it is") {
  ChatSample sample = conversation();
  sample.messages[1].parts = {text("Here: "), image(), text("!")};
  const std::vector<std::string> media{"<i>", "<j>", "<k>"};
  sample.media.resize(3);
  const RenderedChat chat = render_chat(chat_format("internvl"), sample, media);
  CHECK(supervised(chat) == "[Here: ][!<|im_end|>][Höhle.<|im_end|>]");
}

TEST_CASE("media and orders of messages that a format does not have are errors that name it") {
  const auto message_of = [](const char* format, const ChatSample& sample) {
    return failure_of([&] { render(format, sample); }).message;
  };
  CHECK(
      message_of("llama-3", conversation()) ==
      "f.jsonl:7: the chat format llama-3 has no place for an image; choose another with data.chat: FORMAT");
  ChatSample film = conversation();
  film.messages[0].parts[1].kind = PartKind::video;
  CHECK(contains(message_of("internvl", film), "no place for a video"));
  const ChatSample twice{.where = "f.jsonl:8",
                         .id = {},
                         .messages = {say(Role::user, {text("a")}), say(Role::user, {text("b")})},
                         .media = {}};
  CHECK(message_of("mistral", twice) ==
        "f.jsonl:8: message 2 is of the user, but in the chat format mistral user and assistant take turns");
  const ChatSample system{.where = "f.jsonl:9",
                          .id = {},
                          .messages = {say(Role::system, {text("a")}), say(Role::user, {text("b")})},
                          .media = {}};
  CHECK(message_of("mistral", system) ==
        "f.jsonl:9: message 1 is a system message, which the chat format mistral does not have");
}

TEST_CASE("image counts that do not fit the messages are errors that name the sample") {
  const std::vector<std::string> one(1, "<i>"), three(3, "<i>");
  const ChatFormat& llava = chat_format("llava");
  CHECK(failure_of([&] { render_chat(llava, conversation(), one); }) ==
        Failure{ExitCode::bad_data, "f.jsonl:7: more images in the messages than the 1 of the sample"});
  CHECK(failure_of([&] { render_chat(llava, conversation(), three); }) ==
        Failure{ExitCode::bad_data, "f.jsonl:7: 3 images, but 2 places for one in the messages"});
}

TEST_CASE("templates are recognised by their text, comments and marks aside") {
  for (const ChatFormat& format : chat_formats()) {
    for (const std::string& program : format.templates) {
      REQUIRE(match_chat_template(program) != nullptr);
      CHECK(match_chat_template(program)->name == format.name);
    }
  }
  CHECK(match_chat_template(chat_format("llava").templates[0] + "\n")->name == "llava");
  // The hub's older template has no generation marks; spaces inside of tags mean nothing.
  std::string hub = chat_format("llava-hub").templates[0];
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"{% generation %}", ""},
                                 {"{% endgeneration %}", ""},
                                 {"{# Render all text next #}", ""},
                                 {"+ ': '}}", "+  ': ' }}"}}) {
    const std::size_t at = hub.find(from);
    REQUIRE(at != std::string::npos);
    hub.replace(at, from.size(), to);
  }
  CHECK(match_chat_template(hub)->name == "llava-hub");
  std::string escaped = chat_format("llava").templates[0];  // a .jinja file writes \n
  escaped.replace(escaped.find('\n'), 1, "\\n");
  CHECK(match_chat_template(escaped)->name == "llava");
  std::string other = chat_format("llava").templates[0];
  other.replace(other.find("'USER: '"), 8, "'USER : '");  // a space in a text does matter
  CHECK(match_chat_template(other) == nullptr);
  CHECK(match_chat_template("") == nullptr);
  CHECK(match_chat_template("{% for") == nullptr);
}

TEST_CASE("a folder's template: .jinja, then chat_template.json, then tokenizer_config.json") {
  CHECK(chat_format_of_folder("tests/goldens/llava-clip-llama/model").name == "llava");
  const ScratchFolder folder;
  const auto as_json = [](const char* format) {
    return Json{{"chat_template", chat_format(format).templates[0]}}.dump();
  };
  const auto found = [&folder] { return chat_format_of_folder(folder.path()).name; };
  CHECK(failure_of([&] { found(); }).code == ExitCode::bad_data);
  folder.write(
      "tokenizer_config.json",
      Json{{"chat_template", {{{"name", "default"}, {"template", chat_format("vicuna").templates[0]}}}},
           {"model_max_length", 1e30}}
          .dump());
  CHECK(found() == "vicuna");
  folder.write("chat_template.json", as_json("internvl"));
  CHECK(found() == "internvl");
  folder.write("chat_template.jinja", chat_format("llava-hub").templates[0]);
  CHECK(found() == "llava-hub");
  folder.write("chat_template.jinja", "{{ messages }}");
  const Failure failure = failure_of([&] { found(); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(failure.message ==
        (folder / "chat_template.jinja") +
            ": its chat template is not one of those known here; choose a format with data.chat: FORMAT, "
            "one of llava, llava-hub, vicuna, internvl, internvl2_5, internlm2-chat, Hermes-2, qwen2-vl, "
            "smolvlm, "
            "idefics3, "
            "paligemma, chatml, qwen2, qwen2.5, llama-2, llama-3, mistral");
}

TEST_CASE("config.json says the format of remote-code InternVL and of PaliGemma") {
  const ScratchFolder folder;
  const auto found = [&folder] { return chat_format_of_folder(folder.path()).name; };
  folder.write("chat_template.jinja", chat_format("chatml").templates[0]);
  folder.write("config.json", R"({"architectures": ["InternVLChatModel"], "template": "internvl2_5"})");
  CHECK(found() == "internvl2_5");
  folder.write("config.json", R"({"architectures": ["InternVLChatModel"], "template": "Hermes-2"})");
  CHECK(found() == "Hermes-2");
  folder.write("config.json", R"({"architectures": ["InternVLChatModel"], "template": "phi3-chat"})");
  const Failure failure = failure_of([&] { found(); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(failure.message,
                 "config.json: its template phi3-chat is not one of those known here; choose a"));
  folder.write("config.json", R"({"model_type": "paligemma"})");
  CHECK(found() == "paligemma");
  folder.write("config.json", R"({"model_type": "qwen2", "template": "internvl2_5"})");
  CHECK(found() == "chatml");
}

TEST_CASE("an unknown format name is a usage error with a proposal") {
  const Failure failure = failure_of([] { chat_format("lava"); });
  CHECK(failure.code == ExitCode::usage);
  CHECK(failure.message == "data.chat: there is no chat format \"lava\"; did you mean \"llava\"?");
}
