// Chat templates are programs in Jinja. This runs them as transformers does (jinja2's
// ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks, loop controls and {% generation %}), to the
// character.
//
// Errors are bad_data and begin with "NAME:LINE: ".
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/jinja/value.h"

namespace longsight::jinja {

// What the template itself says with raise_exception('..'): the conversation is not one that it takes.
class RaisedByTemplate : public Error {
 public:
  RaisedByTemplate(const std::string& place, const std::string& said);
  const std::string& said() const noexcept { return said_; }  // without NAME:LINE

 private:
  std::string said_;
};

// A program that goes beyond them is refused.
struct Limits {
  i64 steps = 20'000'000;             // evaluated nodes, elements that operations walk over, room in memory
  int depth = 2000;                   // nested evaluations; a call of a macro takes about ten
  i64 output_bytes = i64{256} << 20;  // of any one string
  i64 elements = 1'000'000;           // of any one list, tuple or dict that the program makes
};

struct RenderOptions {
  Limits limits;
  // What strftime_now shows: seconds since 1970, in UTC. Nothing: this machine's clock and time zone.
  std::optional<i64> now;
};

struct Rendered {
  std::string text;
  std::vector<Span>
      origins;  // ascending, disjoint: which bytes come from a string of the context with an origin
  std::vector<std::pair<i64, i64>> generation;  // bytes inside of {% generation %} blocks, ascending
};

class Template {
 public:
  // `name` stands for the source in errors. Throws where the source is no program, or uses what is not
  // supported (extends, include, import, blocks, autoescape, async).
  Template(std::string_view source, std::string name);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // `context` is an object: the variables that the program sees (messages, tools, add_generation_prompt,
  // bos_token,
  // ..). Safe to call from several threads at once; the same context may be shared.
  Rendered render(const Value& context, const RenderOptions& options = {}) const;

  bool marks_generation() const;  // has {% generation %}
  // Walks over a message's content as a list of parts (`for part in message['content']`,
  // `content[0]['type']`): it must be given {"type": ..} parts where a conversation has media.
  bool takes_parts() const;
  bool reads(std::string_view variable) const;  // a variable of the context: `tools`, `enable_thinking`, ..

 private:
  struct Program;
  std::unique_ptr<const Program> program_;
};

}  // namespace longsight::jinja
