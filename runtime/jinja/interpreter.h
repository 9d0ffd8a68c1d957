// Runs a tree.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "runtime/jinja/objects.h"
#include "runtime/jinja/run.h"
#include "runtime/jinja/syntax/ast.h"

namespace longsight::jinja {

// The variables of a scope that is being run.
struct Frame : Object {
  explicit Frame(std::shared_ptr<Frame> outer) : parent(std::move(outer)) {}
  std::string_view type() const override { return "frame"; }
  void clear() override { variables.clear(); }

  struct Variable {
    int id;
    bool set;
    Value value;
  };
  void set(int id, Value value);
  void hide(int id) { variables.push_back({id, false, {}}); }

  std::shared_ptr<Frame> parent;
  std::vector<Variable> variables;
  bool kept = false;
};
using FramePtr = std::shared_ptr<Frame>;

enum class Signal : std::uint8_t { none, break_, continue_ };

class Interpreter {
 public:
  Interpreter(Run& run, const Tree& tree, const Dict& context);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Text render();

  // For macros and loops that are called.
  Value call_macro(const Stmt& macro, const FramePtr& closure, std::string_view name, Arguments&& arguments);
  Value parameter_names(const Stmt& macro) const;
  Value call_loop(const Stmt& loop, const FramePtr& frame, const Value& iterable, i64 depth);

 private:
  // execute.cpp
  Signal execute(const Body& body, const FramePtr& frame, TextBuilder& out);
  Signal execute(const Stmt& stmt, const FramePtr& frame, TextBuilder& out);
  Signal scope(const Scope& scope, const FramePtr& frame, TextBuilder& out);  // `frame` is the scope's own
  Signal choice(const Stmt& stmt, const FramePtr& frame, TextBuilder& out);
  Signal loop(const Stmt& stmt, const FramePtr& frame, const Value& iterable, i64 depth, TextBuilder& out);
  Value captured(const Scope& scope, const FramePtr& frame);
  Value macro(const Stmt& stmt, const FramePtr& frame, std::string_view name);
  void call_block(const Stmt& stmt, const FramePtr& frame, TextBuilder& out);
  void assign(const Expr& target, const Value& value, const FramePtr& frame);
  void keep(const FramePtr& frame);
  FramePtr inner(const FramePtr& frame) const { return std::make_shared<Frame>(frame); }

  // evaluate.cpp
  Value evaluate(const Expr& expr, const FramePtr& frame);
  bool test(const Expr& expr, const FramePtr& frame) { return truth(run_, evaluate(expr, frame)); }
  Value variable(int id, const Frame* frame);
  Value comparison(const Expr& expr, const FramePtr& frame);
  Value concat(const Expr& expr, const FramePtr& frame);
  Value filter(const Expr& expr, const FramePtr& frame, const Value* block);
  Arguments arguments(const Expr& expr, const FramePtr& frame);

  Run& run_;
  const Tree& tree_;
  std::vector<std::optional<Value>> context_;  // by id; what is nowhere, once it was looked for, is undefined
};

}  // namespace longsight::jinja
