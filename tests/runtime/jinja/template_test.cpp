#include "runtime/jinja/template.h"

#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

using namespace longsight;
using namespace longsight::jinja;

namespace {

std::string render(const std::string& source, const std::string& context = "{}",
                   const RenderOptions& options = {}) {
  return Template(source, "t").render(Value::of(nlohmann::ordered_json::parse(context)), options).text;
}

std::string refusal(const std::string& source, const std::string& context = "{}",
                    const RenderOptions& options = {}) {
  try {
    const std::string text = render(source, context, options);
    return "rendered: " + text;
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_data);
    return error.what();
  }
}

}  // namespace

TEST_CASE("a program prints what it is given, and values as Python shows them") {
  CHECK(render("a{{ x }}b", R"({"x": 1})") == "a1b");
  CHECK(render("{{ x }}", R"({"x": [true, null, 1.0, 1e16, "it's", {"a": "b"}]})") ==
        R"([True, None, 1.0, 1e+16, "it's", {'a': 'b'}])");
}

TEST_CASE("an error names the template and the line") {
  CHECK(refusal("a\n{{ x.y }}") == "t:2: 'x' is undefined");
  CHECK(refusal("\n\n{{ m.y.z }}", R"({"m": {}})") == "t:3: 'dict object' has no attribute 'y'");
  CHECK(refusal("a\n{% if x %}") ==
        "t:2: Unexpected end of template. The innermost block that needs to be closed is 'if'.");
  CHECK(refusal("{% include 'x' %}") == "t:1: {% include %} is not supported");
  CHECK(refusal("\n{{ x | pprint }}") == "t:2: the filter 'pprint' is not supported");
  CHECK(refusal("{{ x | upperr }}") == "t:1: No filter named 'upperr'.");
  CHECK(refusal("{{ [].append(1) }}") == "t:1: access to attribute 'append' of 'list' object is unsafe.");
}

TEST_CASE("what a template raises can be told from other errors") {
  const Template program("{{ 1 }}\n{{ raise_exception('Roles must alternate') }}", "chat_template.jinja");
  try {
    program.render(Value::object({}));
    FAIL("rendered");
  } catch (const RaisedByTemplate& raised) {
    CHECK(raised.said() == "Roles must alternate");
    CHECK(std::string(raised.what()) == "chat_template.jinja:2: Roles must alternate");
  }
}

TEST_CASE("programs are bounded in steps, depth and size") {
  RenderOptions options;
  options.limits.steps = 10'000;
  CHECK(refusal("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "{}",
                options) == "t:1: the program takes more than 10000 steps");
  CHECK(refusal("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}") ==
        "t:1: more than 2000 nested evaluations");
  options = {};
  options.limits.output_bytes = 100;
  CHECK(refusal("{{ 'x' * 101 }}", "{}", options) == "t:1: a text of more than 100 bytes");
  CHECK(refusal("{{ range(100001) }}").find("Range too big") != std::string::npos);
  CHECK(refusal("{{ 9223372036854775807 + 1 }}") == "t:1: an integer beyond 64 bits");
  CHECK(refusal("{{ " + std::string(300, '(') + "1" + std::string(300, ')') + " }}")
            .find("inside of each other") != std::string::npos);
  std::string sum = "{{ 1";
  for (int i = 0; i < 300; ++i) sum += " + 1";
  CHECK(refusal(sum + " }}").find("inside of each other") != std::string::npos);
  CHECK(refusal(
            "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}") ==
        "t:1: more than 500 values inside of each other");
}

TEST_CASE("the elements of lists are bounded, before room is taken for them") {
  const std::string large = "more than 1000000 elements";
  for (const char* program :
       {"{% set x = [0] * 10000000000 %}", "{% set x = 9223372036854775807 * (1, 2) %}",
        "{% set ns = namespace(x=[0]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set x = ([0] * 600000 + [0] * 600000) %}", "{% for r in [1] | batch(9000000, 0) %}{% endfor %}",
        "{% set x = ('a ' * 1000001).split() %}", "{% set x = ('a,' * 1000001).split(',') %}",
        "{% set x = ('\\n' * 1000001).splitlines() %}", "{% set x = ('a' * 1000001) | list %}",
        "{% for r in [] | slice(2000000) %}{% endfor %}"}) {
    CAPTURE(program);
    CHECK(refusal(program).find(large) != std::string::npos);
  }
  // All together, whichever they are.
  CHECK(refusal("{% set ns = namespace(x=[]) %}{% for i in range(99) %}"
                "{% set ns.x = ns.x + [[0] * 900000] %}{% endfor %}")
            .find("steps") != std::string::npos);
  CHECK(render("{{ ([0] * 1000000) | length }}") == "1000000");
}

TEST_CASE("a template has a self, without blocks") {
  CHECK(render("{{ self is defined }}{{ self.title is defined }}{{ self is mapping }}") == "TrueFalseFalse");
  CHECK(render("{{ self }}{% macro m() %}{{ self is defined }}{% endmacro %}{{ m() }}") ==
        "<TemplateReference None>True");
}

TEST_CASE("a macro tells its name and its parameters") {
  CHECK(render(
            "{% macro m(a, b=1) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.arguments | join('') }}") ==
        "m('a', 'b')ab");
}

TEST_CASE("what refers to itself is freed") {
  CHECK(render("{% set ns = namespace() %}{% set ns.self = ns %}{% set ns.list = [ns] %}x") == "x");
  CHECK(render("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}1{% endmacro %}{{ a() }}") == "1");
  CHECK(render("{% set ns = namespace(p=none) %}{% for i in range(5000) %}{% set ns.p = namespace(p=ns.p) "
               "%}{% endfor %}x") == "x");
}

TEST_CASE("the bytes inside of generation blocks are told") {
  const Template program(
      "{% for m in messages %}{{ m.role }}: {% if m.role == 'b' %}{% generation %}{{ m.text }}!{% "
      "endgeneration %}"
      "{% else %}{{ m.text }}{% endif %}\n{% endfor %}",
      "t");
  CHECK(program.marks_generation());
  CHECK(!Template("{# generation #}", "t").marks_generation());
  const Rendered rendered = program.render(Value::of(nlohmann::ordered_json::parse(
      R"({"messages": [{"role": "a", "text": "q"}, {"role": "b", "text": "ü"}, {"role": "b", "text": ""}]})")));
  CHECK(rendered.text == "a: qb: ü!b: !");
  CHECK(rendered.generation == std::vector<std::pair<i64, i64>>{{7, 10}, {13, 14}});
}

TEST_CASE("generation marks follow the text through set, filter and macro") {
  const Rendered rendered =
      Template(
          "{% set x %}a{% generation %}b{% endgeneration %}c{% endset %}0{{ x }}1{{ x | trim('a') }}"
          "{% macro m() %}<{% generation %}d{% endgeneration %}>{% endmacro %}{{ m() }}",
          "t")
          .render(Value::object({}));
  CHECK(rendered.text == "0abc1bc<d>");
  CHECK(rendered.generation == std::vector<std::pair<i64, i64>>{{2, 3}, {5, 6}, {8, 9}});
}

TEST_CASE("a program that walks over the parts of contents is recognised") {
  const auto takes = [](const char* source) { return Template(source, "t").takes_parts(); };
  CHECK(takes("{% for m in messages %}{% for p in m['content'] %}{{ p['type'] }}{% endfor %}{% endfor %}"));
  CHECK(
      takes("{% for m in messages %}{% for p in m.content if p.type == 'text' %}{{ p.text }}{% endfor %}{% "
            "endfor %}"));
  CHECK(takes("{% for m in messages %}{% if m.content[0]['type'] == 'image' %}x{% endif %}{% endfor %}"));
  CHECK(takes(
      "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}"
      "{% if 'image' in c %}x{% endif %}{% endfor %}{% endif %}{% endfor %}"));
  CHECK(
      takes("{% macro show(c) %}{% for p in c %}{{ p.text }}{% endfor %}{% endmacro %}{{ "
            "show(messages[0].content) }}"));
  CHECK(
      takes("{% for m in messages %}{% set content = m.content %}{% for p in content %}{{ p.text }}{% endfor "
            "%}{% endfor %}"));
  CHECK(
      takes("{% for m in messages %}{% for p in m.content | selectattr('type', 'equalto', 'text') %}{{ p "
            "}}{% endfor %}{% endfor %}"));
  CHECK(
      takes("{% macro show(m) %}{% set c = m.get('content') %}{% for p in c %}{{ p.get('text') }}{% endfor "
            "%}{% endmacro %}"
            "{{ show(messages[0]) }}"));
  CHECK(!takes(
      "{% macro show(tools) %}{% for t in tools %}{{ t.type }}{% endfor %}{% endmacro %}{{ show(tools) }}"
      "{{ messages[0].content }}"));
  CHECK(!takes("{% for m in messages %}{{ m['role'] + m['content'] | trim }}{% endfor %}"));
  CHECK(!takes(
      "{% for t in tools %}{{ t.type }}{% for p in t.parameters %}{{ p.type }}{% endfor %}{% endfor %}"));
  CHECK(!takes("{% for m in messages %}{{ m.content.split('</think>')[0].text }}{% endfor %}"));
}

TEST_CASE("the time of strftime_now is given") {
  RenderOptions options;
  options.now = 1'790'000'000;
  CHECK(render("{{ strftime_now('%d %b %Y %H:%M %Z%f') }}", "{}", options) == "21 Sep 2026 14:13 000000");
}

TEST_CASE("values that a template cannot have are bad data") {
  CHECK_THROWS_WITH_AS(Value::of(nlohmann::ordered_json::parse("[18446744073709551615]")),
                       "the integer 18446744073709551615 is beyond 64 bits: write it as a text", Error);
  CHECK_THROWS_AS(Value::of(nlohmann::ordered_json::parse(std::string(501, '[') + std::string(501, ']'))),
                  Error);
}

TEST_CASE("variables that a program reads are known") {
  const Template program("{% set x = 1 %}{{ tools }}{{ x }}", "t");
  CHECK(program.reads("tools"));
  CHECK(!program.reads("documents"));
  CHECK(!program.reads("loop"));
}

TEST_CASE("a program that would take more memory or calls than any needs is refused") {
  std::string elifs = "{% if x %}a", nested, names;
  for (int i = 0; i < 150; ++i) elifs += "{% elif x %}b";
  CHECK(render(elifs + "{% else %}c{% endif %}{% if x %}{% elif y %}{% else %}d{% endif %}") == "cd");
  for (int i = 0; i < 20'000; ++i) elifs += "{% elif x %}b";
  CHECK(refusal(elifs + "{% endif %}") == "t:1: more than 200 tests of if and elif around a statement");
  for (int i = 0; i < 3; ++i) {
    nested += "{% if x %}";
    for (int k = 0; k < 90; ++k) nested += "{% elif x %}";
  }
  CHECK(refusal(nested) == "t:1: more than 200 tests of if and elif around a statement");
  for (int i = 0; i < 1000; ++i) names += fmt::format("{{{{ x{} }}}}", i);
  CHECK(refusal(names) == "t:1: more than 1000 names of variables");
  CHECK(refusal(std::string(262'145, 'x')) == "t: a template of 262145 bytes, at most 262144 are read");
  CHECK(render(std::string(262'144, 'x')).size() == 262'144);
}
