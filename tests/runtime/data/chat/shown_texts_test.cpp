// What a template does not show of a sample, or only a part of.
#include <doctest/doctest.h>

#include "tests/runtime/data/chat/conversations.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;
using nlohmann::ordered_json;

namespace {

ChatSample called() {
  ChatMessage call = say(Role::assistant, {});
  call.template_keys = ordered_json::parse(
      R"({"tool_calls": [{"id": "c1", "type": "function", "function": {"name": "rain",
          "arguments": {"city": "K\u00f6ln \"am\" Rhein", "days": 2, "near": [{"km": 1.5}, "Bonn"]}}}]})");
  ChatMessage result = say(Role::tool, {text("{\"mm\": 3}")});
  result.template_keys = ordered_json::parse(R"({"tool_call_id": "c1", "name": "rain"})");
  return talk({say(Role::user, {text("Rain?")}), call, result, say(Role::assistant, {text("Yes.")})});
}

// What is said of the sample by a template that shows this of each message; empty: nothing.
std::string said(const std::string& shown, const ChatSample& sample) {
  const ChatRenderer renderer({.name = "t",
                               .place = "t",
                               .program = "{% for m in messages %}<|im_start|>{{ m.role }}\n" + shown +
                                          "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}"
                                          "<|im_start|>assistant\n{% endif %}"},
                              tokens_for_tests());
  const Failure failure = failure_of([&] { renderer.render(sample, {}); });
  if (failure.code != ExitCode::bad_data) return "";
  return failure.message.substr(0, failure.message.find("; "));
}

ChatSample asked(const std::string& question, const char* keys = "null") {
  ChatSample sample = talk({say(Role::system, {text("Be brief.")}), say(Role::user, {text(question)}),
                            say(Role::assistant, {text("b")})});
  sample.messages[1].template_keys = ordered_json::parse(keys);
  return sample;
}

}  // namespace

TEST_CASE("a template that shows only a part of a text is refused, spaces at its ends are no part") {
  const std::string part = "f.jsonl:7: t shows only a part of the text of message 1";
  CHECK(said("{{ m.content[:1] }}", asked("What is it?")) == part);
  CHECK(said("{{ m.content[1:] }}", asked("What is it?")) == part);
  CHECK(said("{{ m.content.split(' ')[0] }}", asked("What is it?")) == part);
  CHECK(said("{% if m.role == 'user' %}{{ m.content[:5] }}{% else %}{{ m.content }}{% endif %}",
             asked("What is it?")) == "f.jsonl:7: t shows only a part of the text of message 2");
  CHECK(said("{{ m.content | replace('<image>', '') }}", asked("Is <image> a tag?")) ==
        "f.jsonl:7: t shows only a part of the text of message 2");
  for (const char* whole :
       {"{{ m.content | trim }}", "{{ m.content.strip() + '!' }}", "{{ m.content | tojson }}",
        "{{ m.content | tojson(ensure_ascii=true) }}", "{{ [m.content] }}",
        "{{ m.content.split() | join(' ') }}",
        "{% for line in m.content.split('\n') %}> {{ line }}\n{% endfor %}", "{{ m.content ~ m.content }}"}) {
    // Of an answer that stands twice nothing can be said.
    const bool twice = std::string(whole).find('~') != std::string::npos;
    const std::string shown =
        twice ? "{% if m.role == 'assistant' %}{{ m.content }}{% else %}" + std::string(whole) + "{% endif %}"
              : whole;
    CAPTURE(shown);
    CHECK(said(shown, asked("  Höhle:  \"it's\n\\here\" \n")) == "");
  }
}

TEST_CASE("a word that the program itself takes out of a text is no loss") {
  const char* const shown = "{{ m.content.replace('/no_think', '') }}";
  CHECK(said(shown, asked("/no_think What?")) == "");
  CHECK(said(shown, asked("What /no_think is it?")) == "");
  CHECK(said("{{ m.content.replace('/no_think', '')[:3] }}", asked("What /no_think is it?")) != "");
}

TEST_CASE("calls are shown with name and arguments, or refused; their ids say nothing") {
  const auto with = [](const std::string& call) {
    return said("{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>" + call + "{% endfor %}",
                called());
  };
  const std::string lacks = "f.jsonl:7: t leaves out the tool_calls of message 2 ";
  CHECK(with("{{ c | tojson }}") == "");
  CHECK(with("{{ c.function.name }}({{ c.function.arguments | tojson }})") == "");
  CHECK(with("{{ c.function.name }}({{ c.function.arguments }})") == "");
  CHECK(with("{{ c.function.name }}{% for k, v in c.function.arguments.items() %} {{ k }}={{ v }}{% endfor "
             "%}") == "");
  CHECK(with("{{ c.function.name }}") == lacks + "(the argument city)");
  CHECK(with("{{ c.function.arguments | tojson }}") == lacks + "(name)");
  CHECK(with("{{ c.function.name }}({{ c.function.arguments.city }})") == lacks + "(the argument days)");
  CHECK(with("{{ c.function.name }}({{ c.function.arguments.city[:2] }}, days, km, near, Bonn)") ==
        "f.jsonl:7: t shows only a part of the tool_calls of message 2 (the argument city)");
}

TEST_CASE("a name that is not shown is refused, but that of a tool that a call in front has named") {
  const std::string whole = "{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}";
  CHECK(said(whole, called()) == "");
  ChatSample other = called();
  other.messages[2].template_keys["name"] = "snow";
  CHECK(said(whole, other) ==
        "f.jsonl:7: t leaves out the name of message 3: write it into the text as the model is to see it, or "
        "remove it");
  CHECK(said(whole, asked("Hi", R"({"name": "Ann"})"))
            .starts_with("f.jsonl:7: t leaves out the name of message 2: write it"));
  CHECK(said("{{ m.name or '' }}: {{ m.content }}", asked("Hi", R"({"name": "Ann"})")) == "");
  CHECK(said(whole, asked("Hi", R"({"name": " "})")) == "");
}
