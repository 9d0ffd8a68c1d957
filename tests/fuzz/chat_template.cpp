// A chat template: it is rendered or refused, within its limits, and says where its text comes from.
#include "runtime/jinja/template.h"
#include "tests/fuzz/targets.h"

using namespace longsight;
using namespace longsight::jinja;

namespace {

Value message(const char* role, Value content) {
  return Value::object(
      {{"role", Value::string(role, 0)}, {"content", std::move(content)}, {"n", Value::integer(3)}});
}

Value make_context() {
  const Value part =
      Value::object({{"type", Value::string("text", 1)}, {"text", Value::string("h\u00e9 <b>", 2)}});
  const Value image = Value::object({{"type", Value::string("image")}, {"f", Value::real(2.5)}});
  return Value::object({{"messages", Value::list({message("system", Value::string(" sys\n", 3)),
                                                  message("user", Value::list({part, image})),
                                                  message("assistant", Value())})},
                        {"tools", Value::list({part})},
                        {"s", Value::string("text \u65e5\u672c", 4)},
                        {"n", Value::integer(-2)},
                        {"t", Value::boolean(true)},
                        {"l", Value::list({Value::integer(1), Value::real(0.5), Value::string("x", 5)})},
                        {"bos_token", Value::string("<s>")}});
}

void require_spans(const Rendered& rendered) {
  i64 end = 0;
  for (const Span& span : rendered.origins) {
    if (span.begin < end || span.end <= span.begin || span.origin < 0) std::abort();
    end = span.end;
  }
  if (end > static_cast<i64>(rendered.text.size())) std::abort();
  end = 0;
  for (const auto& [from, to] : rendered.generation) {
    if (from < end || to <= from) std::abort();
    end = to;
  }
  if (end > static_cast<i64>(rendered.text.size())) std::abort();
}

}  // namespace

void longsight::fuzz::chat_template(Bytes bytes) {
  static const Value context = make_context();
  RenderOptions options;
  options.limits = {.steps = 100'000, .depth = 200, .output_bytes = 1 << 20};
  options.now = 0;
  read_or_refuse([&] {
    const Template program(text_of(bytes), "t");
    require_spans(program.render(context, options));
  });
}
