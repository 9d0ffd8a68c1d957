// & < > ' " as markupsafe writes them.
#include "runtime/jinja/python/python.h"

namespace longsight::jinja {

void escape(TextBuilder& out, const Text& text) {
  i64 copied = 0;
  const auto size = static_cast<i64>(text.bytes.size());
  for (i64 at = 0; at < size; ++at) {
    const char* made = nullptr;
    switch (text.bytes[static_cast<std::size_t>(at)]) {
      case '&':
        made = "&amp;";
        break;
      case '<':
        made = "&lt;";
        break;
      case '>':
        made = "&gt;";
        break;
      case '\'':
        made = "&#39;";
        break;
      case '"':
        made = "&#34;";
        break;
      default:
        continue;
    }
    out.add(text, copied, at);
    out.add(made, text.origin(at));
    copied = at + 1;
  }
  out.add(text, copied, size);
}

Value escape(Run& run, const Value& value) {
  if (value.is(Kind::string) && value.text().markup) return value;
  const Value text = str(run, value);
  run.spend_bytes(static_cast<i64>(text.text().bytes.size()) * 8);
  TextBuilder out = run.builder();
  escape(out, text.text());
  return out.value(true);
}

}  // namespace longsight::jinja
