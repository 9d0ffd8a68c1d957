// Which characters are learned.
#include "runtime/data/chat/answer_spans.h"

#include <doctest/doctest.h>

#include "runtime/data/chat/render_chat.h"
#include "tests/runtime/data/chat/conversations.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;
using nlohmann::ordered_json;

namespace {

// ChatML with tools and thoughts, in the manner of the Hermes, Qwen2.5 and Qwen3 templates.
const char* const kTools = R"({%- if tools %}
    {{- '<|im_start|>system\n# Tools\n<tools>' }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools><|im_end|>\n" }}
{%- endif %}
{%- set ns = namespace(last=0) %}
{%- for m in messages %}{%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}
{%- for m in messages %}
    {%- if m.role == 'tool' %}
        {{- '<|im_start|>user\n<tool_response>\n' + m.content + '\n</tool_response><|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>' + m.role + '\n' }}
        {%- if m.reasoning_content and loop.index0 > ns.last %}
            {{- '<think>\n' + m.reasoning_content + '\n</think>\n\n' }}
        {%- endif %}
        {{- m.content.split('</think>')[-1].lstrip('\n') }}
        {%- for call in m.tool_calls or [] %}
            {%- if (loop.first and m.content) or (not loop.first) %}{{- '\n' }}{%- endif %}
            {%- set call = call.function or call %}
            {{- '<tool_call>\n{"name": "' }}
            {{- call.name }}
            {{- '", "arguments": ' }}
            {{- call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %})";

ChatRenderer renderer_with(const std::string& program) {
  return ChatRenderer({.name = "t", .place = "t.jinja", .program = program}, tokens_for_tests());
}

std::string learned(const std::string& program, const ChatSample& sample) {
  return supervised(renderer_with(program).render(sample, {}));
}

ChatMessage with_keys(ChatMessage message, const char* keys) {
  message.template_keys = ordered_json::parse(keys);
  return message;
}

ChatMessage user(const char* words) {
  return say(Role::user, {text(words)});
}
ChatMessage answer(const char* words) {
  return say(Role::assistant, {text(words)});
}

}  // namespace

TEST_CASE("a call of a tool is learned with what the template writes around it, its result is not") {
  ChatSample sample =
      talk({user("Sum?"),
            with_keys(say(Role::assistant, {}),
                      R"({"tool_calls": [{"function": {"name": "add", "arguments": {"a": 1, "unit": "m"}}},
                                    {"function": {"name": "sub", "arguments": {"b": 2}}}]})"),
            say(Role::tool, {text("3")}), answer("It is 3.")});
  sample.tools = ordered_json::parse(R"([{"name": "add"}, {"name": "sub"}])");
  const RenderedChat chat = renderer_with(kTools).render(sample, {});
  CHECK(chat.text.starts_with(
      "<|im_start|>system\n# Tools\n<tools>\n{\"name\": \"add\"}\n{\"name\": \"sub\"}\n</tools>"));
  CHECK(supervised(chat) ==
        "[<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"unit\": \"m\"}}\n</tool_call>\n"
        "<tool_call>\n{\"name\": \"sub\", \"arguments\": {\"b\": 2}}\n</tool_call><|im_end|>]"
        "[It is 3.<|im_end|>]");
  sample.messages[1].parts = {text("Let me see.")};
  CHECK(supervised(renderer_with(kTools).render(sample, {}))
            .starts_with("[Let me see.\n<tool_call>\n{\"name\": \"add\""));
  sample.messages[1].loss = false;
  CHECK(supervised(renderer_with(kTools).render(sample, {})) == "[It is 3.<|im_end|>]");
}

TEST_CASE("a call that the tool's turn names again ends with its own turn") {
  const char* const named_again =
      "{% for m in messages %}{% if m.role == 'tool' %}<|im_start|>functions."
      "{{ messages[loop.index0 - 1].tool_calls[0].name }}\n{{ m.content }}<|im_end|>{% elif m.tool_calls %}"
      "<|im_start|>assistant to={{ m.tool_calls[0].name }}\n{{ m.tool_calls[0].name }}("
      "{{ m.tool_calls[0].arguments | tojson }})<|eot_id|>{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}"
      "<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{% endif %}";
  const ChatSample sample = talk(
      {user("a"),
       with_keys(say(Role::assistant, {}), R"({"tool_calls": [{"name": "add", "arguments": {"a": "x"}}]})"),
       say(Role::tool, {text("3")}), answer("It is 3.")});
  CHECK(learned(named_again, sample) == "[to=add\nadd({\"a\": \"x\"})<|eot_id|>][It is 3.<|im_end|>]");
}

TEST_CASE("a call that ends with a special token gets eos where the template ends no turn") {
  const char* const calls =
      "{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}"
      "<|vision_start|>{{ c.name }}()<|vision_end|>{% endfor %}\n{% endfor %}"
      "{% if add_generation_prompt %}assistant: {% endif %}";
  const ChatSample sample =
      talk({user("a"), with_keys(say(Role::assistant, {}), R"({"tool_calls": [{"name": "add"}]})"),
            say(Role::tool, {text("3")}), answer("b")});
  CHECK(learned(calls, sample) == "[<|vision_start|>add()<|vision_end|></s>][b</s>]");
}

TEST_CASE(
    "a thought is learned where the template shows it; what it strips from earlier turns is not there") {
  const ChatSample sample = talk({user("a"), answer("<think>hm</think>\n\nfirst"), user("b"),
                                  with_keys(answer("second"), R"({"reasoning_content": "well"})")});
  CHECK(learned(kTools, sample) == "[first<|im_end|>][<think>\nwell\n</think>\n\nsecond<|im_end|>]");
}

TEST_CASE("what an answer begins with is not learned where the generation prompt says it already") {
  const char* const opened =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}";
  CHECK(learned(opened, talk({user("a"), answer("<think>\nhm\n</think>\nyes")})) ==
        "[hm\n</think>\nyes<|im_end|>]");
  CHECK(learned(opened, talk({user("a"), answer("yes")})) == "[yes<|im_end|>]");
}

TEST_CASE("a call, or the thought of the last answer, that the template does not show is refused") {
  const char* const plain =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
  const char* const first_call =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% if m.tool_calls %}"
      "{{ m.tool_calls[0] | tojson }}{% endif %}<|im_end|>\n{% endfor %}";
  const char* const calls =
      R"({"tool_calls": [{"function": {"name": "add"}}, {"function": {"name": "sub"}}]})";
  const ChatSample called = talk(
      {user("a"), with_keys(answer("Let me see."), calls), say(Role::tool, {text("3")}), answer("It is 3.")});
  for (const char* const program : {plain, first_call}) {
    const Failure failure = failure_of([&] { renderer_with(program).render(called, {}); });
    CHECK(failure.code == ExitCode::bad_data);
    CHECK(failure.message.find("leaves out the tool_calls of message 2") != std::string::npos);
  }
  const char* const thought = R"({"reasoning_content": "well"})";
  const Failure failure = failure_of([&] {
    renderer_with(plain).render(talk({user("a"), with_keys(answer("b"), thought)}), {});
  });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(failure.message.find("leaves out the reasoning_content of message 2") != std::string::npos);
  CHECK(learned(plain, talk({user("a"), with_keys(answer("b"), thought), user("c"),
                             with_keys(answer("d"), R"({"reasoning_content": ""})")})) ==
        "[b<|im_end|>][d<|im_end|>]");
}

TEST_CASE("what the template always writes in front of an answer is learned, heads are not") {
  const char* const channels =
      "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>user<|im_sep|>{{ m.content }}<|im_end|>{% "
      "else %}"
      "<|im_start|>assistant<|channel|>final<|im_sep|>{{ m.content }}{% if loop.last %}</s>{% else "
      "%}<|im_end|>{% endif %}"
      "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{% endif %}";
  CHECK(learned(channels, talk({user("a"), answer("b"), user("c"), answer("d")})) ==
        "[<|channel|>final<|im_sep|>b<|im_end|>][<|channel|>final<|im_sep|>d</s>]");
}

TEST_CASE("the head of the next message is never learned, also without anything between") {
  const char* const bare =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  CHECK(learned(bare, talk({user("a"), answer("b"), user("c"), answer("d")})) ==
        "[b<|im_end|>][d<|im_end|>]");
  // A special token of the next head does not end this turn: nothing does.
  const char* const heads =
      "{% for m in messages %}{{ '<|im_start|>' if m.role == 'user' else '<|im_sep|>' }}{{ m.content }}{% "
      "endfor %}"
      "{% if add_generation_prompt %}<|im_sep|>{% endif %}";
  CHECK(learned(heads, talk({user("a"), answer("b"), user("c"), answer("d")})) == "[b</s>][d</s>]");
}

TEST_CASE("what a template writes behind the messages is not learned, nor does it hide where answers begin") {
  const std::string turns =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
  const std::string prompt = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  for (const char* const tail :
       {"Remember: {{ messages[0].content }}\n",
        "{% if messages[-1].role == 'user' %}Answer: {{ messages[-1].content }}\n{% endif %}",
        "<|im_start|>memory\n{{ messages[-1].content }}<|im_end|>\n",
        "<|im_start|>system\nBe brief.<|im_end|>\n", "Be brief.\n"}) {
    CAPTURE(tail);
    for (const char* const system : {"", "<|im_start|>system\nHelp.<|im_end|>\n"}) {
      CAPTURE(system);
      const std::string program = system + turns + tail + prompt;
      CHECK(learned(program, talk({user("one"), answer("two"), user("three"), answer("four")})) ==
            "[two<|im_end|>][four<|im_end|>]");
      CHECK(learned(program, talk({user("one"), answer("two")})) == "[two<|im_end|>]");
      CHECK_FALSE(renderer_with(program).adds_eos());
      CHECK(renderer_with(program).stop() == "<|im_end|>");
    }
  }
}

TEST_CASE(
    "words that change from turn to turn in front of the end are learned with it, and nothing is added") {
  const std::string prompt = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  const ChatSample sample = talk({user("one"), answer("two"), user("three"), answer("four")});
  const std::string number =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }} #{{ loop.index }}<|im_end|>\n{% "
      "endfor %}";
  CHECK(learned(number + prompt, sample) == "[two #2<|im_end|>][four #4<|im_end|>]");
  const std::string length =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }} ({{ m.content | length "
      "}})<|im_end|>\n"
      "{% endfor %}";
  CHECK(learned(length + prompt, sample) == "[two (3)<|im_end|>][four (4)<|im_end|>]");
}

TEST_CASE("a special token that heads and ends of turns share does not cut the end") {
  const std::string end = "<|eot_id|>text<|vision_end|><|im_end|>";
  for (const std::string& system : {std::string(), "<|vision_start|>system<|vision_end|>Help." + end}) {
    CAPTURE(system);
    const std::string program =
        system + "{% for m in messages %}<|vision_start|>{{ m.role }}<|vision_end|>{{ m.content }}" + end +
        "{% endfor %}{% if add_generation_prompt %}<|vision_start|>assistant<|vision_end|>{% endif %}";
    CHECK(learned(program, talk({user("a"), answer("b"), user("c"), answer("d")})) ==
          "[b" + end + "][d" + end + "]");
  }
}

TEST_CASE("where a template ends some answers, the others are as it writes them") {
  const ChatSample sample = talk({user("one"), answer("two"), user("three"), answer("four")});
  const std::string prompt = "{% if add_generation_prompt %}Assistant:{% endif %}";
  const std::string last =
      "{% for m in messages %}{{ m.role | capitalize }}: {{ m.content }}{% if m.role == 'assistant' and "
      "loop.last %}"
      "{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}" +
      prompt;
  CHECK(renderer_with(last).render(sample, {}).text ==
        "User: one\nAssistant: two\nUser: three\nAssistant: four</s>\n");
  CHECK(learned(last, sample) == "[two][four</s>]");
  CHECK_FALSE(renderer_with(last).adds_eos());
  const std::string other =
      "{% for m in messages %}{{ m.role | capitalize }}: {{ m.content }}{{ '<|im_end|>' if loop.last else "
      "'\n' }}"
      "{% endfor %}" +
      prompt;
  CHECK(learned(other, sample) == "[two][four<|im_end|>]");
}

TEST_CASE("where an end of turn cannot be told from the end of a conversation, marks are asked for") {
  const std::string behind =
      "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}Be brief.</s>"
      "{% if add_generation_prompt %}assistant: {% endif %}";
  const Failure failure = failure_of([&] { learned(behind, talk({user("a"), answer("b")})); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(failure.message, "f.jsonl:7: whether t.jinja ends an answer with what it writes behind"));
  CHECK(contains(failure.message, "mark what is generated with {% generation %}"));
  const std::string strict =
      "{% if not tools %}{{ raise_exception('no tools') }}{% endif %}{{ tools | tojson }}"
      "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
  ChatSample tools = talk({user("a"), answer("b")});
  tools.tools = ordered_json::parse(R"([{"name": "add"}])");
  CHECK(contains(failure_of([&] { learned(strict, tools); }).message,
                 "where the answer of message 2 ends cannot be told"));
}

TEST_CASE("generation marks say what is learned, message by message") {
  const char* const marked =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ "
      "m.content }}"
      "<|im_end|>{% endgeneration %}\n{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}";
  ChatSample sample = talk({user("a"), answer("b"), user("c"), answer("d")});
  CHECK(learned(marked, sample) == "[b<|im_end|>][d<|im_end|>]");
  CHECK(renderer_with(marked).learns_stop());
  sample.messages[1].loss = false;
  CHECK(learned(marked, sample) == "[d<|im_end|>]");
  const char* const without_end =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ "
      "m.content }}"
      "{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}";
  CHECK(learned(without_end, sample) == "[d]");
  CHECK_FALSE(renderer_with(without_end).learns_stop());
}

TEST_CASE("an answer that ends with the end of turn by itself gets no second one") {
  const char* const bare = "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}";
  CHECK(learned(bare, talk({user("a"), answer("b</s>"), user("c"), answer("d")})) == "[b</s>][d</s>]");
}

TEST_CASE("only an end of turn ends an answer, other special tokens in its text do not") {
  const char* const bare = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
  const char* const marked =
      "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }} "
      "{% endgeneration %}{% else %}{{ m.content }} {% endif %}{% endfor %}";
  // What ends turns in other templates than this one ends none here, unless the model knows it as an end.
  for (const std::string word : {"<|vision_end|>", "<s>", "a cat <|vision_start|>", "x<|im_end|>", "</s>b"}) {
    CAPTURE(word);
    const ChatSample sample = talk({user("a"), answer(word.c_str()), user("c"), answer("d")});
    CHECK(learned(bare, sample) == "[" + word + "</s>][d</s>]");
    CHECK(learned(marked, sample) == "[" + word + " </s>][d </s>]");
  }
  for (const char* const own : {"b</s>", "b</s> ", "</s>"}) {
    CAPTURE(own);
    const std::string end = std::string(own).substr(0, std::string(own).rfind('>') + 1);
    const ChatSample sample = talk({user("a"), answer(own), user("c"), answer("d")});
    CHECK(learned(bare, sample) == "[" + end + "][d</s>]");
    CHECK(learned(marked, sample) == "[" + end + "][d </s>]");  // no space behind the end
  }
  ChatTokens tokens = tokens_for_tests();
  tokens.ends.push_back("<|im_end|>");
  const ChatRenderer known({.name = "t", .place = "t", .program = bare}, tokens);
  CHECK(supervised(known.render(talk({user("a"), answer("b<|im_end|>")}), {})) == "[b<|im_end|>]");
  // One that the template writes itself only between turns.
  const char* const between =
      "{% for m in messages %}{{ m.content }}{% if not loop.last %}<|im_end|>{% endif %}{% endfor %}";
  CHECK(learned(between, talk({user("a"), answer("b<|im_end|>")})) == "[b<|im_end|>]");
  CHECK(learned(between, talk({user("a"), answer("b<|vision_end|>")})) == "[b<|vision_end|></s>]");
}

TEST_CASE("an answer that ends with a picture gets its eos behind that") {
  const std::string parts =
      "{% for p in m.content %}{% if p.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
      "{% else %}{{ p.text }}{% endif %}{% endfor %}";
  const std::string bare = "{% for m in messages %}{{ m.role }}: " + parts + "{{ ' \\n' }}{% endfor %}";
  const std::string marked =
      "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}" + parts +
      "{% endgeneration %}{% else %}" + parts + "{% endif %}{{ ' \\n' }}{% endfor %}";
  const std::string picture = "<|vision_start|><|image_pad|><|image_pad|><|vision_end|>";
  const ChatSample sample =
      talk({user("a"), say(Role::assistant, {text("b"), image()}), user("c"), answer("d")});
  for (const std::string& program : {bare, marked}) {
    const ChatRenderer renderer({.name = "t", .place = "t", .program = program},
                                tokens_for_tests("<|image_pad|>"));
    const RenderedChat chat = renderer.render(sample, std::vector<std::string>{picture});
    CHECK(chat.text == "user: a \nassistant: b" + picture + "</s> \nuser: c \nassistant: d</s> \n");
    CHECK(supervised(chat) == "[b][</s>][d</s>]");
  }
}

TEST_CASE("an end that is written only where a question follows is learned there, and eos at the end") {
  const char* const between =
      "{% for m in messages %}{% if m.role == 'user' %}{% if not loop.first %}<|im_end|>{% endif "
      "%}<|im_start|>"
      "{{ m.content }}{% else %}<|im_sep|>{{ m.content }}{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}<|im_sep|>{% endif %}";
  CHECK(learned(between, talk({user("a"), answer("b"), user("c"), answer("d")})) == "[b<|im_end|>][d</s>]");
  CHECK(renderer_with(between).adds_eos());
  CHECK(renderer_with(between).stop() == "<|im_end|>");
}

TEST_CASE("a generation prompt that is always written is not learned") {
  const char* const always =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<end_of_utterance><|im_end|>\n{% "
      "endfor %}"
      "<|im_start|>assistant\n";
  CHECK(learned(always, talk({user("a"), answer("b"), user("c"), answer("d")})) ==
        "[b<end_of_utterance><|im_end|>][d<end_of_utterance><|im_end|>]");
}

TEST_CASE("templates are asked with and without parts, and with what they refuse") {
  const char* const strict =
      "{% if messages[0].role != 'system' %}{{ raise_exception('a system message first') }}{% endif %}"
      "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>\n{% endfor %}";
  const ChatSample told =
      talk({say(Role::system, {text("s")}), user("a"), answer("b"), user("c"), answer("d")});
  CHECK(learned(strict, told) == "[b<|im_end|>][d<|im_end|>]");
  const char* const strict_without_end =
      "{% if messages[0].role != 'system' %}{{ raise_exception('a system message first') }}{% endif %}"
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}\n{% endfor %}";
  CHECK(learned(strict_without_end, told) == "[b</s>][d</s>]");
  CHECK(renderer_with(strict_without_end).adds_eos());
  // Nothing is known of one that takes no plain conversation at all; a special token right behind the answer
  // ends it all the same.
  const char* const only_tools =
      "{% if not tools %}{{ raise_exception('no tools') }}{% endif %}{{ tools | tojson }}"
      "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>\n{% endfor %}";
  ChatSample tools = told;
  tools.tools = ordered_json::parse(R"([{"name": "add"}])");
  CHECK(learned(only_tools, tools) == "[b<|im_end|>][d<|im_end|>]");
  CHECK(contains(failure_of([&] {
                   renderer_with(strict).render(talk({user("a"), answer("b")}), {});
                 }).message,
                 "t.jinja refuses the conversation: a system message first"));
}

TEST_CASE("of named templates the one for tools is taken where a sample has tools") {
  const ChatRenderer two(
      {.name = "t",
       .place = "t.json",
       .program = "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}",
       .named = {{"tool_use", "{{ tools | tojson }}{% for m in messages %}{{ m.content }}</s>{% endfor %}"}}},
      tokens_for_tests());
  ChatSample sample = talk({user("a"), answer("b")});
  CHECK(two.render(sample, {}).text == "user: a</s>assistant: b</s>");
  sample.tools = ordered_json::parse(R"([{"name": "add"}])");
  CHECK(two.render(sample, {}).text == "[{\"name\": \"add\"}]a</s>b</s>");
}
