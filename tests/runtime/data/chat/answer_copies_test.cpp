// Templates that show an answer more than once.
#include <doctest/doctest.h>

#include "tests/runtime/data/chat/conversations.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kTurns =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const std::string kAnswers =
    "<memory>{% for m in messages if m.role == 'assistant' %}{{ m.content }}\n{% endfor %}</memory>";

ChatRenderer with(const std::string& program) {
  return ChatRenderer({.name = "t", .place = "t", .program = program}, tokens_for_tests());
}

ChatSample two_turns() {
  return talk({say(Role::user, {text("q1")}), say(Role::assistant, {text("first")}),
               say(Role::user, {text("q2")}), say(Role::assistant, {text("second")})});
}

}  // namespace

TEST_CASE("of an answer that stands in a summary too, the one at its own turn is learned") {
  const std::string learned = "[first<|im_end|>][second<|im_end|>]";
  const RenderedChat front = with(kAnswers + kTurns).render(two_turns(), {});
  CHECK(front.text.starts_with("<memory>first\nsecond\n</memory><|im_start|>user\nq1"));
  CHECK(supervised(front) == learned);
  const i64 summary = static_cast<i64>(front.text.find("</memory>"));
  CHECK(front.supervised.front().begin > summary);

  const RenderedChat behind = with(kTurns + kAnswers).render(two_turns(), {});
  CHECK(supervised(behind) == learned);
  CHECK(behind.supervised.back().end < static_cast<i64>(behind.text.find("<memory>")));

  const std::string history = "{% for m in messages %}{{ m.role }} said {{ m.content }}. {% endfor %}";
  const RenderedChat both = with(history + kTurns).render(two_turns(), {});
  CHECK(supervised(both) == learned);
  CHECK(both.supervised.front().begin > static_cast<i64>(both.text.find("<|im_start|>")));
}

TEST_CASE("a copy in a user's turn is never taken for the answer") {
  const auto user_turn = [](const std::string& front, const std::string& behind, bool ends = true) {
    const std::string end = ends ? "<|im_end|>" : "";
    return "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'user' %}" + front +
           "{{ m.content }}" + behind + "{% else %}{{ m.content }}{% endif %}" + end +
           "\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  };
  const std::string said =
      "{% if not loop.first %}(you said: {{ messages[loop.index0 - 1].content }})\n{% endif %}";
  const std::string style =
      "{% if messages[loop.index] %} (say: {{ messages[loop.index].content }}){% endif %}";
  const std::string only = "{% if messages[loop.index] %} {{ messages[loop.index].content }}{% endif %}";
  const std::string begin = "{% if messages[loop.index] %}{{ messages[loop.index].content[:2] }}{% endif %}";
  ChatSample greeted = two_turns();
  greeted.messages.insert(greeted.messages.begin(), say(Role::assistant, {text("hi")}));
  for (const bool ends : {true, false}) {
    const std::string end = ends ? "<|im_end|>" : "</s>";
    for (const auto& [front, behind] :
         {std::pair{said, std::string()}, std::pair{std::string(), style}, std::pair{std::string(), only},
          std::pair{style, std::string()}, std::pair{begin, begin}, std::pair{said, style}}) {
      CAPTURE(front);
      CAPTURE(behind);
      CAPTURE(ends);
      const std::string program = user_turn(front, behind, ends);
      const std::string both = "[first" + end + "][second" + end + "]";
      const RenderedChat chat = with(program).render(two_turns(), {});
      CHECK(supervised(chat) == both);
      for (const ByteSpan& span : chat.supervised) {
        CHECK(chat.text.substr(0, static_cast<std::size_t>(span.begin)).ends_with("assistant\n"));
      }
      CHECK(supervised(with(program).render(greeted, {})) == "[hi" + end + "]" + both);
    }
  }
}

TEST_CASE("a copy within the turn is not learned where the turn has ended, else nothing can be told") {
  const auto turn = [](const std::string& answer) {
    return "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'user' %}{{ m.content }}{% else "
           "%}" +
           answer +
           "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif "
           "%}";
  };
  CHECK(supervised(with(turn("{{ m.content }}<|im_end|>\n<|im_start|>memory\n{{ m.content }}"))
                       .render(two_turns(), {})) == "[first<|im_end|>][second<|im_end|>]");
  for (const char* answer : {"{{ m.content }} = {{ m.content }}", "{{ m.content ~ m.content }}"}) {
    const Failure failure = failure_of([&] { with(turn(answer)).render(two_turns(), {}); });
    CHECK(failure.code == ExitCode::bad_data);
    CHECK(failure.message ==
          "f.jsonl:7: t shows the answer of message 2 more than once, and which one is its turn cannot be "
          "told; "
          "mark it there with {% generation %} (data.chat: FILE.jinja)");
  }
  ChatSample unlearned = two_turns();
  for (ChatMessage& message : unlearned.messages) message.loss = false;
  CHECK(supervised(with(turn("{{ m.content }} = {{ m.content }}")).render(unlearned, {})) == "");
}

TEST_CASE("parts of an answer that the template shows apart are no copies") {
  const char* const parts =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if '</think>' in m.content %}<think>"
      "{{ m.content.split('</think>')[0].split('<think>')[1] }}</think>{{ m.content.split('</think>')[1] }}"
      "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  ChatSample sample = two_turns();
  sample.messages[3].parts[0].text = "<think>so so</think>so";
  CHECK(supervised(with(parts).render(sample, {})) == "[first<|im_end|>][<think>so so</think>so<|im_end|>]");
}
