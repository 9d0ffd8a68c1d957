// Against what jinja2 gives: tests/goldens/jinja, made by scripts/make_jinja_fixtures.py.
#include <fstream>
#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

#include "runtime/jinja/template.h"

using namespace longsight;
using namespace longsight::jinja;
using nlohmann::ordered_json;

namespace {

// The same text and marks, or both refuse, with the same words where the template says them.
void compare(const ordered_json& expected, const Value& context, i64 now) {
  const auto source = expected.at("template").get<std::string>();
  CAPTURE(source);
  RenderOptions options;
  options.now = now;
  try {
    const Rendered rendered = Template(source, "t").render(context, options);
    if (expected.contains("error")) {
      FAIL_CHECK("jinja2 refuses: ", expected.at("error").get<std::string>(), "; here: ", rendered.text);
      return;
    }
    CHECK(rendered.text == expected.at("text").get<std::string>());
    CHECK(ordered_json(rendered.generation) == expected.at("generation"));
  } catch (const RaisedByTemplate& raised) {
    CHECK(expected.value("raised", false));
    CHECK(raised.said() == expected.value("error", ""));
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_data);
    CHECK(std::string(error.what()).starts_with("t:"));
    CHECK(!expected.value("raised", false));
    if (!expected.contains("error")) FAIL_CHECK("refused: ", error.what());
  }
}

}  // namespace

TEST_CASE("every rule of the language gives what jinja2 gives") {
  std::ifstream file("tests/goldens/jinja/cases.json");
  const auto all = ordered_json::parse(file);
  const Value context = Value::of(all.at("context"));
  CHECK(all.at("cases").size() > 150);
  for (const auto& each : all.at("cases")) compare(each, context, all.at("now").get<i64>());
}

TEST_CASE("random templates give what jinja2 gives") {
  std::ifstream file("tests/goldens/jinja/random.jsonl");
  int count = 0;
  for (std::string line; std::getline(file, line); ++count) {
    const auto each = ordered_json::parse(line);
    compare(each, Value::of(each.at("context")), 0);
  }
  CHECK(count == 300);
}
