// json.dumps.
#include <algorithm>
#include <cmath>

#include "runtime/jinja/python/characters.h"
#include "runtime/jinja/python/python.h"

namespace longsight::jinja {
namespace {

class Writer {
 public:
  Writer(Run& run, const JsonStyle& style) : run_(run), style_(style), out_(run.builder()) {}

  void write(const Value& value) {
    const Nested nested(run_);
    run_.spend(1);
    switch (value.kind()) {
      case Kind::none:
        out_.add("null");
        return;
      case Kind::boolean:
        out_.add(value.as_bool() ? "true" : "false");
        return;
      case Kind::integer:
        out_.add(std::to_string(value.as_integer()));
        return;
      case Kind::real:
        out_.add(number(value.as_real()));
        return;
      case Kind::string:
        string(value.text());
        return;
      case Kind::list:
      case Kind::tuple:
        list(value.sequence().items);
        return;
      case Kind::dict:
        dict(value.dict());
        return;
      default:
        refuse("Object of type {} is not JSON serializable", type_name(value));
    }
  }
  Value value() { return out_.value(); }

 private:
  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return real_text(value);
  }

  void string(const Text& text) {
    run_.spend_bytes(static_cast<i64>(text.bytes.size()) * 8);
    out_.add("\"");
    i64 copied = 0;
    const auto size = static_cast<i64>(text.bytes.size());
    for (i64 at = 0; at < size;) {
      const std::string_view character = character_at(text.bytes, at);
      const i64 next = at + static_cast<i64>(character.size());
      if (const std::string made = escaped(code_point(character)); !made.empty()) {
        out_.add(text, copied, at);
        out_.add(made, text.origin(at));
        copied = next;
      }
      at = next;
    }
    out_.add(text, copied, size);
    out_.add("\"");
  }

  std::string escaped(char32_t c) const {
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\f':
        return "\\f";
      case '\b':
        return "\\b";
      default:
        break;
    }
    if (c >= 0x20 && (c < 0x7F || !style_.ensure_ascii)) return {};
    const auto code = static_cast<unsigned>(c);
    if (code < 0x10000) return fmt::format("\\u{:04x}", code);
    return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10),
                       0xDC00 + ((code - 0x10000) & 0x3FF));
  }

  void new_line() {
    if (!style_.indent) return;
    out_.add("\n");
    for (int i = 0; i < level_; ++i) out_.add(*style_.indent);
  }

  void list(const std::vector<Value>& items) {
    if (items.empty()) return out_.add("[]");
    out_.add("[");
    ++level_;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.add(style_.item_separator);
      new_line();
      write(items[i]);
    }
    --level_;
    new_line();
    out_.add("]");
  }

  void key(const Value& name) {
    switch (name.kind()) {
      case Kind::string:
        return string(name.text());
      case Kind::none:
        return out_.add("\"null\"");
      case Kind::boolean:
        return out_.add(name.as_bool() ? "\"true\"" : "\"false\"");
      case Kind::integer:
        return out_.add(fmt::format("\"{}\"", name.as_integer()));
      case Kind::real:
        return out_.add(fmt::format("\"{}\"", number(name.as_real())));
      default:
        refuse("keys must be str, int, float, bool or None, not {}", type_name(name));
    }
  }

  void dict(const Dict& dict) {
    if (dict.items.empty()) return out_.add("{}");
    std::vector<const std::pair<Value, Value>*> members;
    for (const auto& member : dict.items) members.push_back(&member);
    if (style_.sort_keys) {
      std::stable_sort(members.begin(), members.end(),
                       [this](const auto* a, const auto* b) { return less(run_, a->first, b->first); });
    }
    out_.add("{");
    ++level_;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out_.add(style_.item_separator);
      new_line();
      key(members[i]->first);
      out_.add(style_.key_separator);
      write(members[i]->second);
    }
    --level_;
    new_line();
    out_.add("}");
  }

  Run& run_;
  const JsonStyle& style_;
  TextBuilder out_;
  int level_ = 0;
};

}  // namespace

Value to_json(Run& run, const Value& value, const JsonStyle& style) {
  Writer writer(run, style);
  writer.write(value);
  return writer.value();
}

}  // namespace longsight::jinja
