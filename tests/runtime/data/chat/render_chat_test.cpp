#include "runtime/data/chat/render_chat.h"

#include <map>
#include <set>

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "tests/runtime/data/chat/conversations.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;

namespace {

ChatSample conversation() {
  ChatSample sample =
      talk({say(Role::user, {text("Look: "), image(), text("What?")}),
            say(Role::assistant, {text("A "), text("cat.")}), say(Role::user, {image(), text("And?")}),
            say(Role::assistant, {text("Höhle.")})});
  sample.media = {{.frames = {{.path = "a.png"}}}, {.frames = {{.path = "b.png"}}}};
  return sample;
}

// How the model of a template marks an image, and what its processor puts around the marks.
struct Marks {
  std::string token, before, behind;
};
Marks marks_of(const std::string& name) {
  if (name == "qwen2-vl") return {"<|image_pad|>", "<|vision_start|>", "<|vision_end|>"};
  if (name.starts_with("intern") || name == "Hermes-2") return {"<IMG_CONTEXT>", "<img>", "</img>"};
  return {"<image>", "", ""};
}

ChatTokens tokens_of(const std::string& name) {
  ChatTokens tokens = tokens_for_tests(marks_of(name).token);
  if (name == "llama-3") tokens.named[0].second = "<|begin_of_text|>";
  return tokens;
}

ChatRenderer renderer(const std::string& name) {
  return ChatRenderer(chat_by_name(name), tokens_of(name));
}

std::vector<std::string> media_of(const std::string& name, const std::vector<int>& tokens = {2, 1}) {
  const Marks marks = marks_of(name);
  std::vector<std::string> texts;
  for (const int count : tokens) {
    texts.push_back(marks.before);
    for (int i = 0; i < count; ++i) texts.back() += marks.token;
    texts.back() += marks.behind;
  }
  return texts;
}

// With <i> for each placeholder and nothing around them.
RenderedChat plainly(RenderedChat chat, const std::string& name) {
  const Marks marks = marks_of(name);
  for (const auto& [from, to] : {std::pair(marks.before + marks.token, std::string("<i>")),
                                 {marks.token + marks.behind, "<i>"},
                                 {"<i>" + marks.behind, "<i>"},
                                 {marks.token, "<i>"}}) {
    for (std::size_t at; (at = chat.text.find(from)) != std::string::npos && from != to;) {
      chat.text.replace(at, from.size(), to);
      const i64 shift = static_cast<i64>(from.size()) - static_cast<i64>(to.size());
      for (ByteSpan& span : chat.supervised) {
        if (span.begin > static_cast<i64>(at)) span.begin -= shift, span.end -= shift;
      }
    }
  }
  return chat;
}

RenderedChat render(const char* name, const ChatSample& sample) {
  return plainly(renderer(name).render(sample, media_of(name)), name);
}

std::string prompt(const char* name, const ChatSample& sample) {
  return plainly(renderer(name).prompt(sample, media_of(name)), name).text;
}

}  // namespace

TEST_CASE("llava: images first, an end-of-turn token behind each answer") {
  const RenderedChat chat = render("llava", conversation());
  CHECK(chat.text == "USER: <i><i>\nLook: What? ASSISTANT: A cat.</s>USER: <i>\nAnd? ASSISTANT: Höhle.</s>");
  CHECK(supervised(chat) == "[A cat.</s>][Höhle.</s>]");
  REQUIRE(chat.media.size() == 2);
}

TEST_CASE("llava-hub: what it marks as generated, and the tokenizer's eos, for it ends no answer") {
  const RenderedChat chat = render("llava-hub", conversation());
  CHECK(chat.text ==
        "USER: <i><i>\nLook:  What? ASSISTANT: A  cat. </s>USER: <i>\nAnd? ASSISTANT: Höhle. </s>");
  CHECK(supervised(chat) == "[A  cat. </s>][Höhle. </s>]");
  CHECK(renderer("llava-hub").adds_eos());
  CHECK_FALSE(renderer("llava").adds_eos());
  // A history that is not learned has it too.
  ChatSample sample = conversation();
  sample.messages[1].loss = false;
  CHECK(render("llava-hub", sample).text == chat.text);
  CHECK(supervised(render("llava-hub", sample)) == "[Höhle. </s>]");
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
  CHECK(renderer("llava").prompt(sample, media_of("llava")).supervised.empty());
  sample.messages.push_back(
      say(Role::user, {text("Thanks")}));  // behind the last answer: not part of its prompt
  CHECK(prompt("llava", sample).ends_with("And? ASSISTANT:"));
  sample.messages.resize(2);
  CHECK(prompt("llava", sample) == "USER: <i><i>\nLook: What? ASSISTANT:");
  CHECK(renderer("llava").prompt(sample, media_of("llava")).media.size() == 1);
  sample.messages.resize(1);  // only a question
  CHECK(prompt("llava", sample) == "USER: <i><i>\nLook: What? ASSISTANT:");
}

TEST_CASE("texts and prompts are those of transformers' apply_chat_template") {
  std::set<std::string> seen;
  for (const Json& one : read_json_file("tests/goldens/tokenizer/chats.json")) {
    const std::string name = one["format"];
    seen.insert(name);
    ChatSample sample = talk({});
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
    ChatTokens tokens = tokens_of(name);
    if (name == "qwen2-vl") tokens.video = "<|video_pad|>";
    const ChatRenderer one_renderer(chat_by_name(name), tokens);
    // Where no answer is ended, ours has the tokenizer's eos besides.
    const auto as_written = [&](std::string rendered) {
      for (std::size_t at; one_renderer.adds_eos() && (at = rendered.find("</s>")) != std::string::npos;)
        rendered.erase(at, 4);
      return rendered;
    };
    CHECK(as_written(one_renderer.render(sample, texts).text) == one["text"].get<std::string>());
    CHECK(as_written(one_renderer.prompt(sample, texts).text) == one["prompt"].get<std::string>());
  }
  for (const ChatSource& source : builtin_chats())
    CHECK((seen.contains(source.name) || source.name == "Hermes-2") == !source.prefix_suffix);
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
  const ChatRenderer paligemma = renderer("paligemma");
  const std::vector<std::string> media{"<image><image>"};
  const RenderedChat chat = paligemma.render(sample, media);
  CHECK(chat.text == "<image><image><bos>Look: What?\nA cat.<eos>");
  CHECK(supervised(chat) == "[A cat.<eos>]");
  REQUIRE(chat.suffix);
  CHECK(chat.text.substr(static_cast<std::size_t>(*chat.suffix)) == "A cat.<eos>");
  const RenderedChat question = paligemma.prompt(sample, media);
  CHECK(question.text == "<image><image><bos>Look: What?\n");
  CHECK(question.suffix == static_cast<i64>(question.text.size()));
  CHECK(failure_of([&] { paligemma.render(conversation(), media_of("paligemma")); }) ==
        Failure{
            ExitCode::bad_data,
            "f.jsonl:7: the chat template paligemma takes one message of the user and one of the assistant, "
            "not 4 messages"});
}

TEST_CASE(
    "llama-2: contents without spaces around them, the end-of-turn token with the space in front of it") {
  const RenderedChat chat = renderer("llama-2").render(
      talk({say(Role::system, {text("Be brief.")}), say(Role::user, {text(" Hi ")}),
            say(Role::assistant, {text(" Ho\n")})}),
      {});
  CHECK(chat.text == "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hi [/INST] Ho </s>");
  CHECK(supervised(chat) == "[Ho </s>]");
}

TEST_CASE("an image in an answer is not supervised, what stands around it is") {
  ChatSample sample = conversation();
  sample.messages[1].parts = {text("Here: "), image(), text("!")};
  sample.media.resize(3);
  const RenderedChat chat = renderer("internvl").render(sample, media_of("internvl", {1, 2, 3}));
  CHECK(supervised(chat) == "[Here: ][\n!<|im_end|>][Höhle.<|im_end|>]");
}

TEST_CASE("media and orders of messages that a template does not have are errors that name it") {
  const auto message_of = [](const char* name, const ChatSample& sample) {
    return failure_of([&] { render(name, sample); }).message;
  };
  CHECK(message_of("llama-3", conversation())
            .starts_with(
                "f.jsonl:7: the chat template llama-3 has no place for an image, its messages are texts; "
                "choose one with data.chat: NAME ("));
  ChatSample film = conversation();
  film.messages[0].parts[1].kind = PartKind::video;
  CHECK(message_of("llava", film)
            .starts_with(
                "f.jsonl:7: the chat template llava has written 0 places of videos, but the conversation "
                "has 1; choose"));
  CHECK(message_of("mistral", talk({say(Role::user, {text("a")}), say(Role::user, {text("b")})})) ==
        "f.jsonl:7: the chat template mistral refuses the conversation: Conversation roles must alternate "
        "user/assistant/user/assistant/...");
  CHECK(contains(message_of("mistral", talk({say(Role::system, {text("a")}), say(Role::user, {text("b")})})),
                 "refuses the conversation"));
}

TEST_CASE("image counts that do not fit the messages are errors that name the sample") {
  const ChatRenderer llava = renderer("llava");
  CHECK(failure_of([&] { llava.render(conversation(), media_of("llava", {1})); }) ==
        Failure{ExitCode::bad_data, "f.jsonl:7: more images in the messages than the 1 of the sample"});
  CHECK(failure_of([&] {
          llava.render(conversation(), media_of("llava", {1, 1, 1}));
        }) == Failure{ExitCode::bad_data, "f.jsonl:7: 3 images, but 2 places for one in the messages"});
}

TEST_CASE("what a user writes is no place of a picture") {
  // Words, where the model marks its pictures otherwise.
  const RenderedChat words = renderer("qwen2-vl")
                                 .render(talk({say(Role::user, {text("What is <image> in HTML?")}),
                                               say(Role::assistant, {text("<image> is old.")})}),
                                         {});
  CHECK(contains(words.text, "user\nWhat is <image> in HTML?<|im_end|>"));
  CHECK(supervised(words) == "[<image> is old.<|im_end|>]");
  for (const char* spelled : {"<|image_pad|>", "<|video_pad|>"}) {
    for (const Role role : {Role::user, Role::assistant}) {
      ChatSample sample = talk({say(Role::user, {text("a")}), say(Role::assistant, {text("b")})});
      sample.messages[role == Role::user ? 0 : 1].parts[0].text = std::string("x") + spelled;
      const Failure failure = failure_of([&] { renderer("qwen2-vl").render(sample, {}); });
      CHECK(failure.code == ExitCode::bad_data);
      CHECK(contains(failure.message, std::string("f.jsonl:7: a text holds ") + spelled));
    }
  }
}

TEST_CASE("nothing of a sample is left out without a word") {
  const ChatRenderer deaf({.name = "d",
                           .place = "d.jinja",
                           .program = "{% for m in messages %}{% if m.role != 'tool' %}{{ m.role + ':' + "
                                      "m.content + '</s>' }}{% endif %}"
                                      "{% endfor %}"},
                          tokens_for_tests());
  ChatSample sample =
      talk({say(Role::user, {text("a")}), say(Role::tool, {text("42")}), say(Role::assistant, {text("b")})});
  CHECK(contains(failure_of([&] { deaf.render(sample, {}); }).message,
                 "f.jsonl:7: d.jinja leaves out the text of message 2; choose"));
  sample.messages.erase(sample.messages.begin() + 1);
  CHECK(supervised(deaf.render(sample, {})) == "[b</s>]");
  sample.tools = nlohmann::ordered_json::parse(R"([{"name": "add"}])");
  CHECK(contains(failure_of([&] { deaf.render(sample, {}); }).message,
                 "f.jsonl:7: the sample has tools, which d.jinja does not show"));
  sample.tools = nlohmann::ordered_json::parse(R"([{"name": "add", "most": 18446744073709551615}])");
  CHECK(contains(failure_of([&] { deaf.render(sample, {}); }).message,
                 "f.jsonl:7: the integer 18446744073709551615 is beyond 64 bits"));
  const ChatRenderer mute(
      {.name = "m",
       .place = "m.jinja",
       .program = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"},
      tokens_for_tests());
  sample.tools = nullptr;
  CHECK(contains(failure_of([&] { mute.render(sample, {}); }).message,
                 "f.jsonl:7: m.jinja leaves out the answer of message 2, which is to be learned"));
}

TEST_CASE("a program that cannot be run is named with its line") {
  const auto failure = [](const char* program) {
    return failure_of([&] {
      ChatRenderer({.name = "p", .place = "p.jinja", .program = program}, tokens_for_tests())
          .render(talk({say(Role::user, {text("a")}), say(Role::assistant, {text("b")})}), {});
    });
  };
  CHECK(failure("a\n{% include 'x' %}").code == ExitCode::bad_data);
  CHECK(failure("a\n{% include 'x' %}").message.starts_with("p.jinja:2: "));
  CHECK(
      contains(failure("{{ messages[0].content }}\n{{ nothing.at.all }}").message, "f.jsonl:7: p.jinja:2: "));
}
