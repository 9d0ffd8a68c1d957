// render [--time]: runs chat templates. Reads JSON objects, one a line, from standard input:
//   {"template": TEXT, "context": {..}, "now": SECONDS}
// and writes one JSON object for each: {"text": .., "generation": [[begin, end], ..], "takes_parts": ..}
// (bytes), or
// {"error": ..} with "raised": true if the template raised it itself (then without NAME:LINE). With --time
// also "microseconds" of one rendering, the best of twenty. For scripts/check_templates.py.
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "runtime/jinja/template.h"

using namespace longsight;
using nlohmann::ordered_json;

namespace {

double microseconds(const jinja::Template& program, const jinja::Value& context,
                    const jinja::RenderOptions& options) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int pass = 0; pass < 20; ++pass) {
    const auto begin = Clock::now();
    program.render(context, options);
    const double spent = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
    if (pass == 0 || spent < best) best = spent;
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const bool timed = argc > 1 && std::string_view(argv[1]) == "--time";
  std::string source;
  std::optional<jinja::Template> program;
  for (std::string line; std::getline(std::cin, line);) {
    ordered_json answer = ordered_json::object();
    try {
      const ordered_json job = ordered_json::parse(line);
      if (!program || job.at("template") != source) {
        program.reset();
        source = job.at("template").get<std::string>();
        program.emplace(source, "template");
      }
      const jinja::Value context = jinja::Value::of(job.at("context"));
      jinja::RenderOptions options;
      if (job.contains("now")) options.now = job.at("now").get<i64>();
      const jinja::Rendered rendered = program->render(context, options);
      answer["text"] = rendered.text;
      answer["generation"] = rendered.generation;
      answer["takes_parts"] = program->takes_parts();
      if (timed) answer["microseconds"] = microseconds(*program, context, options);
    } catch (const jinja::RaisedByTemplate& raised) {
      answer["error"] = raised.said();
      answer["raised"] = true;
    } catch (const Error& error) {
      answer["error"] = error.what();
      answer["raised"] = false;
    }
    std::cout << answer.dump() << '\n';
  }
}
