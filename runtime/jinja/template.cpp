#include "runtime/jinja/template.h"

#include <algorithm>

#include "runtime/base/utf8.h"
#include "runtime/jinja/interpreter.h"

namespace longsight::jinja {

RaisedByTemplate::RaisedByTemplate(const std::string& place, const std::string& said)
    : Error(ExitCode::bad_data, fmt::format("{}: {}", place, said)), said_(said) {}

struct Template::Program {
  std::string name;
  Tree tree;
  bool takes_parts = false;
};

namespace {
// Ten times as large as any; its tree takes up to 160 times as much.
constexpr std::size_t kMostSource = std::size_t{1} << 18;
}  // namespace

Template::Template(std::string_view source, std::string name) {
  require(source.size() <= kMostSource, ExitCode::bad_data, "{}: a template of {} bytes, at most {} are read",
          name, source.size(), kMostSource);
  if (const i64 at = first_invalid_utf8(source); at >= 0) {
    const auto line = 1 + std::count(source.begin(), source.begin() + at, '\n');
    fail(ExitCode::bad_data, "{}:{}: this is no UTF-8", name, line);
  }
  auto program = std::make_unique<Program>();
  program->name = std::move(name);
  int line = 1;
  try {
    program->tree = parse(source, line);
  } catch (const Refused& refused) {
    fail(ExitCode::bad_data, "{}:{}: {}", program->name, line, refused.what());
  }
  program->takes_parts = jinja::takes_parts(program->tree);
  program_ = std::move(program);
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Rendered Template::render(const Value& context, const RenderOptions& options) const {
  check(context.is(Kind::dict), "the context of a template is no object");
  Run run(options);
  try {
    Text text = Interpreter(run, program_->tree, context.dict()).render();
    return {std::move(text.bytes), std::move(text.origins), std::move(text.marks)};
  } catch (const Refused& refused) {
    const std::string place = fmt::format("{}:{}", program_->name, run.line);
    if (refused.raised_by_template) throw RaisedByTemplate(place, refused.what());
    fail(ExitCode::bad_data, "{}: {}", place, refused.what());
  }
}

bool Template::marks_generation() const {
  return program_->tree.marks_generation;
}
bool Template::takes_parts() const {
  return program_->takes_parts;
}

bool Template::reads(std::string_view variable) const {
  const std::vector<std::string>& names = program_->tree.names;
  return std::find(names.begin() + 4, names.end(), variable) != names.end();
}

}  // namespace longsight::jinja
