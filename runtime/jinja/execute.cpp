// Statements.
#include <algorithm>

#include "runtime/jinja/interpreter.h"
#include "runtime/jinja/loop.h"

namespace longsight::jinja {
namespace {

struct Macro : Object {
  Macro(Interpreter& of, const Stmt& statement, FramePtr frame, std::string_view called)
      : interpreter(of), stmt(statement), closure(std::move(frame)), name(called) {}
  std::string_view type() const override { return "Macro"; }
  bool callable() const override { return true; }
  Value call(Run&, Arguments&& arguments) override {
    return interpreter.call_macro(stmt, closure, name, std::move(arguments));
  }
  std::optional<Value> attribute(Run&, std::string_view wanted) override {
    if (wanted == "name") return Value::string(std::string(name));
    if (wanted == "arguments") return interpreter.parameter_names(stmt);
    if (wanted == "caller") return Value::boolean(stmt.takes_caller);
    if (wanted == "catch_kwargs") return Value::boolean(stmt.takes_kwargs);
    if (wanted == "catch_varargs") return Value::boolean(stmt.takes_varargs);
    return std::nullopt;
  }

  Interpreter& interpreter;
  const Stmt& stmt;
  FramePtr closure;
  std::string_view name;
};

}  // namespace

void Frame::set(int id, Value value) {
  for (Variable& each : variables) {
    if (each.id == id) {
      each.set = true;
      each.value = std::move(value);
      return;
    }
  }
  variables.push_back({id, true, std::move(value)});
}

Interpreter::Interpreter(Run& run, const Tree& tree, const Dict& context)
    : run_(run), tree_(tree), context_(tree.names.size()) {
  for (std::size_t i = 0; i < tree.names.size(); ++i) {
    if (const Value* value = context.find(tree.names[i])) {
      context_[i] = *value;
    } else {
      context_[i] = global_value(tree.names[i]);
    }
  }
}

Interpreter::~Interpreter() {
  for (const auto& object : run_.kept()) object->clear();
}

Text Interpreter::render() {
  TextBuilder out = run_.builder();
  const auto frame = std::make_shared<Frame>(nullptr);
  scope(tree_.root, frame, out);
  return out.take();
}

void Interpreter::keep(const FramePtr& frame) {
  if (std::exchange(frame->kept, true)) return;
  run_.keep(frame);
}

Signal Interpreter::scope(const Scope& scope_of, const FramePtr& frame, TextBuilder& out) {
  for (const int id : scope_of.hidden) frame->hide(id);
  return execute(scope_of.body, frame, out);
}

Signal Interpreter::execute(const Body& body, const FramePtr& frame, TextBuilder& out) {
  const Nested nested(run_);
  for (const Stmt& stmt : body) {
    run_.spend(1);
    run_.line = stmt.line;
    if (const Signal signal = execute(stmt, frame, out); signal != Signal::none) return signal;
  }
  return Signal::none;
}

Signal Interpreter::execute(const Stmt& stmt, const FramePtr& frame, TextBuilder& out) {
  switch (stmt.kind) {
    case StmtKind::text:
      print(run_, out, stmt.value);
      return Signal::none;
    case StmtKind::output: {
      const Value value = evaluate(*stmt.expr, frame);
      run_.line = stmt.line;
      print(run_, out, value);
      return Signal::none;
    }
    case StmtKind::choice:
      return choice(stmt, frame, out);
    case StmtKind::loop: {
      const Value iterable = evaluate(*stmt.expr, frame);
      run_.line = stmt.line;
      return loop(stmt, frame, iterable, 0, out);
    }
    case StmtKind::assignment:
      assign(*stmt.target, evaluate(*stmt.expr, frame), frame);
      return Signal::none;
    case StmtKind::block_set: {
      const FramePtr own = inner(frame);
      TextBuilder text = run_.builder();
      if (const Signal signal = scope(stmt.bodies[0], own, text); signal != Signal::none) return signal;
      Value value = text.value();
      if (stmt.filter != nullptr) value = filter(*stmt.filter, own, &value);
      assign(*stmt.target, value, frame);
      return Signal::none;
    }
    case StmtKind::macro:
      frame->set(stmt.id, macro(stmt, frame, tree_.names[static_cast<std::size_t>(stmt.id)]));
      return Signal::none;
    case StmtKind::call_block:
      call_block(stmt, frame, out);
      return Signal::none;
    case StmtKind::filter_block: {
      const FramePtr own = inner(frame);
      TextBuilder text = run_.builder();
      if (const Signal signal = scope(stmt.bodies[0], own, text); signal != Signal::none) return signal;
      const Value whole = text.value();
      const Value value = filter(*stmt.filter, own, &whole);
      out.add(require_string(value, "what a filter makes of a block"));
      return Signal::none;
    }
    case StmtKind::with: {
      const FramePtr own = inner(frame);
      for (std::size_t i = 0; i < stmt.tests.size(); ++i)
        assign(*stmt.tests[i], evaluate(*stmt.defaults[i], frame), own);
      return scope(stmt.bodies[0], own, out);
    }
    case StmtKind::generation:
      out.add_marked(captured(stmt.bodies[0], frame).text());
      return Signal::none;
    case StmtKind::break_:
      return Signal::break_;
    case StmtKind::continue_:
      return Signal::continue_;
  }
  return Signal::none;
}

Signal Interpreter::choice(const Stmt& stmt, const FramePtr& frame, TextBuilder& out) {
  for (std::size_t i = 0; i < stmt.tests.size(); ++i) {
    if (test(*stmt.tests[i], frame)) return execute(stmt.bodies[i].body, frame, out);
  }
  if (stmt.bodies.size() > stmt.tests.size()) return execute(stmt.bodies.back().body, frame, out);
  return Signal::none;
}

Value Interpreter::captured(const Scope& scope_of, const FramePtr& frame) {
  TextBuilder text = run_.builder();
  scope(scope_of, inner(frame), text);
  return text.value();
}

Signal Interpreter::loop(const Stmt& stmt, const FramePtr& frame, const Value& iterable, i64 depth,
                         TextBuilder& out) {
  Cursor cursor(run_, iterable);
  // The filter is asked when an element is wanted, not before: it may read what the body has set.
  Iterator::Pull pull = [&](Run& run, Value& value) {
    while (cursor.next(run, value)) {
      if (stmt.filter == nullptr) return true;
      const FramePtr own = inner(frame);
      assign(*stmt.target, value, own);
      if (test(*stmt.filter, own)) return true;
    }
    return false;
  };
  std::shared_ptr<Loop> state;
  if (stmt.reads_loop) {
    state = std::make_shared<Loop>(run_, iterable, pull, stmt.filter == nullptr, depth);
    if (stmt.recursive) {
      state->recurse = [this, &stmt, frame](const Value& over, i64 deeper) {
        return call_loop(stmt, frame, over, deeper);
      };
    }
  }
  // As in jinja2, `else` also runs where every pass ended with a break or continue.
  bool any = false;
  Value value;
  while (state != nullptr ? state->next(value) : pull(run_, value)) {
    const FramePtr own = inner(frame);
    if (state != nullptr) own->set(kLoop, Value(std::static_pointer_cast<Object>(state)));
    assign(*stmt.target, value, own);
    const Signal signal = scope(stmt.bodies[0], own, out);
    if (signal == Signal::break_) break;
    any = any || signal == Signal::none;
    run_.line = stmt.line;
  }
  if (state != nullptr) state->clear();
  if (any || stmt.bodies.size() < 2) return Signal::none;
  return scope(stmt.bodies[1], inner(frame), out);
}

Value Interpreter::call_loop(const Stmt& stmt, const FramePtr& frame, const Value& iterable, i64 depth) {
  const Nested nested(run_);
  TextBuilder text = run_.builder();
  loop(stmt, frame, iterable, depth, text);
  return text.value();
}

Value Interpreter::macro(const Stmt& stmt, const FramePtr& frame, std::string_view name) {
  keep(frame);
  return Value(std::shared_ptr<Object>(std::make_shared<Macro>(*this, stmt, frame, name)));
}

Value Interpreter::parameter_names(const Stmt& macro) const {
  std::vector<Value> names;
  for (const int id : macro.parameters)
    names.push_back(Value::string(std::string(tree_.names[static_cast<std::size_t>(id)])));
  return Value::tuple(std::move(names));
}

void Interpreter::call_block(const Stmt& stmt, const FramePtr& frame, TextBuilder& out) {
  const Value caller = macro(stmt, frame, "caller");
  const Value callee = evaluate(*stmt.expr->parts[0], frame);
  Arguments given = arguments(*stmt.expr, frame);
  given.named.emplace_back("caller", caller);
  run_.line = stmt.line;
  const Value value = call(run_, callee, std::move(given));
  out.add(require_string(value, "what {% call %} calls"));
}

Value Interpreter::call_macro(const Stmt& stmt, const FramePtr& closure, std::string_view name,
                              Arguments&& given) {
  const Nested nested(run_);
  const FramePtr frame = inner(closure);
  const std::size_t count = stmt.parameters.size();
  const auto take_named = [&](std::string_view wanted) -> std::optional<Value> {
    const auto found = std::find_if(given.named.begin(), given.named.end(),
                                    [&](const auto& each) { return each.first == wanted; });
    if (found == given.named.end()) return std::nullopt;
    Value value = std::move(found->second);
    given.named.erase(found);
    return value;
  };
  bool found_caller = false;
  for (std::size_t i = 0; i < count; ++i) {
    const int id = stmt.parameters[i];
    std::optional<Value> value;
    if (i < given.positional.size()) {
      value = given.positional[i];
    } else {
      value = take_named(tree_.names[static_cast<std::size_t>(id)]);
    }
    found_caller = found_caller || id == kCaller;
    if (value) {
      frame->set(id, *std::move(value));
    } else {
      frame->hide(id);
    }
  }
  if (stmt.takes_caller && !found_caller) {
    std::optional<Value> caller = take_named("caller");
    frame->set(kCaller, caller && !caller->is(Kind::none) ? *caller : undefined("No caller defined"));
  }
  if (stmt.takes_kwargs) {
    auto dict = std::make_shared<Dict>();
    for (auto& [key, value] : given.named) dict->set(key, std::move(value));
    frame->set(kKwargs, Value(std::move(dict)));
  } else if (!given.named.empty()) {
    refuse("macro {} takes no keyword argument {}", quoted(name), quoted(given.named.front().first));
  }
  if (stmt.takes_varargs) {
    const auto first = static_cast<std::ptrdiff_t>(std::min(count, given.positional.size()));
    frame->set(kVarargs, Value::tuple({given.positional.begin() + first, given.positional.end()}));
  } else if (given.positional.size() > count) {
    refuse("macro {} takes not more than {} argument(s)", quoted(name), count);
  }
  for (std::size_t i = 0; i < count; ++i) {
    auto& parameter = *std::find_if(frame->variables.begin(), frame->variables.end(),
                                    [&](const auto& each) { return each.id == stmt.parameters[i]; });
    if (parameter.set) continue;
    const std::size_t first_default = count - stmt.defaults.size();
    Value value = i >= first_default
                      ? evaluate(*stmt.defaults[i - first_default], frame)
                      : undefined(fmt::format("parameter {} was not provided",
                                              quoted(tree_.names[static_cast<std::size_t>(parameter.id)])));
    frame->set(stmt.parameters[i], std::move(value));
  }
  TextBuilder text = run_.builder();
  scope(stmt.bodies[0], frame, text);
  return text.value();
}

void Interpreter::assign(const Expr& target, const Value& value, const FramePtr& frame) {
  if (target.kind == ExprKind::name) return frame->set(target.id, value);
  if (target.kind == ExprKind::tuple) {
    if (!iterable(value)) refuse("cannot unpack non-iterable {} object", type_name(value));
    const std::vector<Value> values = elements(run_, value);
    const std::size_t wanted = target.parts.size();
    if (values.size() > wanted) refuse("too many values to unpack (expected {})", wanted);
    if (values.size() < wanted)
      refuse("not enough values to unpack (expected {}, got {})", wanted, values.size());
    for (std::size_t i = 0; i < wanted; ++i) assign(*target.parts[i], values[i], frame);
    return;
  }
  const Value object = variable(target.id, frame.get());
  auto* names = object.is(Kind::object) ? dynamic_cast<Namespace*>(&object.object()) : nullptr;
  if (names == nullptr) refuse("cannot assign attribute on non-namespace object");
  const std::string& name = target.value.text().bytes;
  if (name.starts_with('_')) {
    refuse(
        "Chat templates cannot store underscore-prefixed attributes on a namespace, but got {}. Please "
        "rename the "
        "attribute.",
        quoted(name));
  }
  names->members.set(name, value);
}

}  // namespace longsight::jinja
