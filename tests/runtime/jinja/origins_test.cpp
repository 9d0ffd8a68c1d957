#include <random>

#include <doctest/doctest.h>

#include "runtime/jinja/template.h"

using namespace longsight;
using namespace longsight::jinja;

namespace {

// "[k:bytes]" for bytes of origin k, other bytes as they are.
std::string shown(const Rendered& rendered) {
  std::string text;
  i64 at = 0;
  for (const Span& span : rendered.origins) {
    text += rendered.text.substr(static_cast<std::size_t>(at), static_cast<std::size_t>(span.begin - at));
    text += std::to_string(span.origin) + "[" +
            rendered.text.substr(static_cast<std::size_t>(span.begin),
                                 static_cast<std::size_t>(span.end - span.begin)) +
            "]";
    at = span.end;
  }
  return text + rendered.text.substr(static_cast<std::size_t>(at));
}

std::string shown(const std::string& source) {
  const Value context = Value::object({{"a", Value::string(" héllo ", 0)},
                                       {"b", Value::string("x,y", 1)},
                                       {"c", Value::string("", 2)},
                                       {"list", Value::list({Value::string("p", 3), Value::string("q", 4)})},
                                       {"plain", Value::string("z")}});
  return shown(Template(source, "t").render(context));
}

}  // namespace

TEST_CASE("bytes keep their origin through what a template does with a text") {
  CHECK(shown("<{{ a }}>") == "<0[ héllo ]>");
  CHECK(shown("{{ a.strip() }}|{{ a | trim }}|{{ a[1:4] }}|{{ a[2] }}") == "0[héllo]|0[héllo]|0[hél]|0[é]");
  CHECK(shown("{{ 'A' + a.strip() + plain ~ b ~ 1 }}") == "A0[héllo]z1[x,y]1");
  CHECK(shown("{{ list | join('-') }}{{ '+'.join(list) }}{{ list }}") ==
        "3[p]-4[q]3[p]+4[q]['3[p]', '4[q]']");
  CHECK(shown("{{ b.split(',')[1] }}{{ b | replace(',', plain) }}{{ b.replace('x', c) }}") == "1[yx]z1[y,y]");
  CHECK(shown("{{ a | upper }}{{ b | tojson }}{{ {'k': b} | tojson }}") ==
        "0[ HÉLLO ]\"1[x,y]\"{\"k\": \"1[x,y]\"}");
  CHECK(shown("{{ '%s!' % b }}{{ '{}?'.format(b) }}{{ b * 2 }}") == "1[x,y]!1[x,y]?1[x,yx,y]");
  CHECK(shown("{% set t %}<{{ b }}>{% endset %}{{ t }}{% macro m(v) %}({{ v }}){% endmacro %}{{ m(b) }}") ==
        "<1[x,y]>(1[x,y])");
  CHECK(shown("{% for ch in b %}{{ ch }}.{% endfor %}{% filter upper %}{{ b }}z{% endfilter %}") ==
        "1[x].1[,].1[y].1[X,Y]Z");
  CHECK(shown("{{ b | indent }}{{ b | center(7) }}{{ b | e }}{{ b[::-1] }}") == "1[x,y]  1[x,y]  1[x,yy,x]");
  CHECK(shown("{{ c }}{{ b if b == 'x,y' else '' }}{{ b | default('') }}{{ b or a }}") == "1[x,yx,yx,y]");
}

TEST_CASE("a template that only copies, trims and slices reports exactly the bytes of each origin") {
  std::mt19937 random(7);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const char* kChange[] = {"{}",          "{} | trim", "{}.strip('a ')", "{}[1:]", "{}[:-1]",
                           "{}.lstrip()", "{} ~ ''",   "({} + '')",      "'' + {}"};
  for (int round = 0; round < 500; ++round) {
    std::vector<std::pair<std::string, Value>> variables;
    std::vector<std::string> texts;
    std::string source;
    for (int k = 0; k < 4; ++k) {
      std::string text;
      for (int i = pick(6); i > 0; --i)
        text += std::vector<std::string>{"a", " ", "é", "日", "<", "\n"}[static_cast<std::size_t>(pick(6))];
      texts.push_back(text);
      variables.emplace_back("s" + std::to_string(k), Value::string(text, k));
      std::string expression = "s" + std::to_string(k);
      for (int i = pick(3); i > 0; --i) {
        std::string change = kChange[pick(9)];
        change.replace(change.find("{}"), 2, "(" + expression + ")");
        expression = change;
      }
      source += "<k" + std::to_string(k) + ">{{ " + expression + " }}";
    }
    const Rendered rendered = Template(source, "t").render(Value::object(variables));
    const Rendered plain = [&] {
      for (auto& [name, value] : variables)
        value = Value::string(texts[static_cast<std::size_t>(name[1] - '0')]);
      return Template(source, "t").render(Value::object(variables));
    }();
    CHECK(plain.text == rendered.text);
    CHECK(plain.origins.empty());
    i64 end = 0;
    for (const Span& span : rendered.origins) {
      CHECK(span.begin >= end);
      CHECK(span.end > span.begin);
      end = span.end;
      const std::string bytes = rendered.text.substr(static_cast<std::size_t>(span.begin),
                                                     static_cast<std::size_t>(span.end - span.begin));
      CHECK(texts[static_cast<std::size_t>(span.origin)].find(bytes) != std::string::npos);
      // Everything between two of the program's own texts is of one origin, whole.
      const std::string own = "<k" + std::to_string(span.origin) + ">";
      CHECK(rendered.text.substr(static_cast<std::size_t>(span.begin) - own.size(), own.size()) == own);
      CHECK((span.end == static_cast<i64>(rendered.text.size()) ||
             rendered.text[static_cast<std::size_t>(span.end)] == '<'));
    }
  }
}
