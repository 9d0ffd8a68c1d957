// Which variables a scope hides. In jinja2 a scope that assigns to a variable, not only in a branch, and did
// not read it before, has it undefined from its beginning, even where the context has one of that name
// (jinja2's idtracking).
#include <algorithm>
#include <set>

#include "runtime/jinja/syntax/ast.h"

namespace longsight::jinja {
namespace {

struct Symbols {
  const Symbols* parent = nullptr;
  std::set<int> known, stored, hidden;

  bool knows(int id) const { return known.contains(id) || (parent != nullptr && parent->knows(id)); }
  void load(int id) {
    if (!knows(id)) known.insert(id);
  }
  void store(int id) {
    stored.insert(id);
    if (known.contains(id)) return;
    if (!knows(id)) hidden.insert(id);
    known.insert(id);
  }
  void parameter(int id) {
    stored.insert(id);
    known.insert(id);
  }
};

template <class Visit>
void for_each_part(const Expr& expr, Visit&& visit) {
  for (const ExprPtr& part : expr.parts) {
    if (part != nullptr) visit(*part);
  }
  if (expr.more_arguments != nullptr) visit(*expr.more_arguments);
  if (expr.more_keywords != nullptr) visit(*expr.more_keywords);
}

void load(Symbols& symbols, const Expr& expr) {
  if (expr.kind == ExprKind::name || expr.kind == ExprKind::namespace_target) symbols.load(expr.id);
  for_each_part(expr, [&](const Expr& part) { load(symbols, part); });
}

void load(Symbols& symbols, const ExprPtr& expr) {
  if (expr != nullptr) load(symbols, *expr);
}

void store(Symbols& symbols, const Expr& target, bool parameter) {
  if (target.kind == ExprKind::namespace_target) return symbols.load(target.id);
  if (target.kind == ExprKind::name)
    return parameter ? symbols.parameter(target.id) : symbols.store(target.id);
  for (const ExprPtr& part : target.parts) store(symbols, *part, parameter);
}

void visit(Symbols& symbols, const Body& body);

void visit_choice(Symbols& symbols, const Stmt& stmt, std::size_t i) {
  load(symbols, stmt.tests[i]);
  std::vector<Symbols> branches(2, symbols);
  visit(branches[0], stmt.bodies[i].body);
  // An elif is an if in the other branch.
  if (i + 1 < stmt.tests.size()) {
    visit_choice(branches[1], stmt, i + 1);
  } else if (stmt.bodies.size() > stmt.tests.size()) {
    visit(branches[1], stmt.bodies.back().body);
  }
  for (const Symbols& branch : branches) {
    for (const int id : branch.hidden) {
      // What only a branch assigns to is looked up outside.
      if (!branch.stored.contains(id) || symbols.stored.contains(id)) symbols.hidden.insert(id);
    }
    symbols.known.insert(branch.known.begin(), branch.known.end());
  }
  for (const Symbols& branch : branches) symbols.stored.insert(branch.stored.begin(), branch.stored.end());
}

// The part of a statement that belongs to the scope around it.
void visit(Symbols& symbols, const Body& body) {
  for (const Stmt& stmt : body) {
    switch (stmt.kind) {
      case StmtKind::output:
      case StmtKind::loop:
      case StmtKind::call_block:
        load(symbols, stmt.expr);
        break;
      case StmtKind::choice:
        visit_choice(symbols, stmt, 0);
        break;
      case StmtKind::assignment:
        load(symbols, stmt.expr);
        store(symbols, *stmt.target, false);
        break;
      case StmtKind::block_set:
        store(symbols, *stmt.target, false);
        break;
      case StmtKind::macro:
        symbols.store(stmt.id);
        break;
      case StmtKind::filter_block:
        load(symbols, stmt.filter);
        break;
      case StmtKind::with:
        for (const ExprPtr& value : stmt.defaults) load(symbols, value);
        break;
      default:
        break;
    }
  }
}

// Does the program read a variable anywhere in here?
bool reads(const Expr& expr, int id) {
  if (expr.kind == ExprKind::name && expr.id == id) return true;
  bool found = false;
  for_each_part(expr, [&](const Expr& part) { found = found || reads(part, id); });
  return found;
}

bool reads(const Body& body, int id) {
  const auto in = [id](const ExprPtr& expr) { return expr != nullptr && reads(*expr, id); };
  return std::any_of(body.begin(), body.end(), [&](const Stmt& stmt) {
    return in(stmt.expr) || in(stmt.filter) || std::any_of(stmt.defaults.begin(), stmt.defaults.end(), in) ||
           (stmt.kind != StmtKind::with && std::any_of(stmt.tests.begin(), stmt.tests.end(), in)) ||
           std::any_of(stmt.bodies.begin(), stmt.bodies.end(),
                       [&](const Scope& scope) { return reads(scope.body, id); });
  });
}

// Does jinja2 compute this before it runs the program?
bool constant(const Expr& expr) {
  constexpr std::string_view kOfContext[] = {"map", "random", "reject", "rejectattr", "select", "selectattr"};
  if (expr.kind == ExprKind::name || expr.kind == ExprKind::call || expr.kind == ExprKind::attribute)
    return false;
  if (expr.kind == ExprKind::filter &&
      (expr.parts[0] == nullptr ||
       std::find(std::begin(kOfContext), std::end(kOfContext), expr.text) != std::end(kOfContext))) {
    return false;
  }
  bool all = true;
  for_each_part(expr, [&](const Expr& part) { all = all && constant(part); });
  return all;
}

class Resolver {
 public:
  explicit Resolver(int& line) : line_(line) {}

  void scope(Scope& scope, Symbols& symbols) {
    visit(symbols, scope.body);
    scope.hidden.assign(symbols.hidden.begin(), symbols.hidden.end());
    body(scope.body, symbols, false);
  }

 private:
  // `soft`: an unknown filter is an error only when it is reached.
  void body(Body& body_of, const Symbols& symbols, bool soft) {
    for (Stmt& stmt : body_of) statement(stmt, symbols, soft);
  }

  void statement(Stmt& stmt, const Symbols& symbols, bool soft) {
    line_ = stmt.line;
    const bool choice = stmt.kind == StmtKind::choice;
    functions(stmt.expr, soft, stmt.kind == StmtKind::output);
    functions(stmt.filter, soft && stmt.kind != StmtKind::filter_block && stmt.kind != StmtKind::block_set &&
                               stmt.kind != StmtKind::loop);
    if (stmt.kind != StmtKind::with) {
      for (ExprPtr& test : stmt.tests) functions(test, soft || choice);
    }
    for (ExprPtr& value : stmt.defaults) functions(value, soft && stmt.kind == StmtKind::with);
    if (choice) {
      for (Scope& branch : stmt.bodies) body(branch.body, symbols, true);
      return;
    }
    if (stmt.kind == StmtKind::loop) stmt.reads_loop = stmt.recursive || reads(stmt.bodies[0].body, kLoop);
    if (stmt.kind == StmtKind::macro || stmt.kind == StmtKind::call_block) special_parameters(stmt);
    for (std::size_t i = 0; i < stmt.bodies.size(); ++i) {
      Symbols inner;
      inner.parent = &symbols;
      if (stmt.kind == StmtKind::loop && i == 0) {
        if (stmt.reads_loop) inner.parameter(kLoop);
        store(inner, *stmt.target, true);
      }
      if (stmt.kind == StmtKind::with) {
        for (const ExprPtr& target : stmt.tests) store(inner, *target, true);
      }
      for (const int parameter : stmt.parameters) inner.parameter(parameter);
      if (stmt.takes_caller) inner.parameter(kCaller);
      if (stmt.takes_varargs) inner.parameter(kVarargs);
      if (stmt.takes_kwargs) inner.parameter(kKwargs);
      scope(stmt.bodies[i], inner);
    }
  }

  void special_parameters(Stmt& stmt) {
    const auto named = [&](int id) { return std::find(stmt.parameters.begin(), stmt.parameters.end(), id); };
    const Body& body_of = stmt.bodies[0].body;
    stmt.takes_caller = reads(body_of, kCaller);
    stmt.takes_varargs = reads(body_of, kVarargs) && named(kVarargs) == stmt.parameters.end();
    stmt.takes_kwargs = reads(body_of, kKwargs) && named(kKwargs) == stmt.parameters.end();
    const auto explicit_caller = named(kCaller);
    if (stmt.takes_caller && explicit_caller != stmt.parameters.end() &&
        stmt.parameters.end() - explicit_caller > static_cast<std::ptrdiff_t>(stmt.defaults.size())) {
      refuse("the special \"caller\" argument must be omitted or be given a default");
    }
  }

  // `folds`: jinja2 computes what is around this, if it is constant, before it runs the program.
  // `operated`: an operation is around this; jinja2 then computes constants in it even where they are never
  // reached.
  void functions(ExprPtr& expr, bool soft, bool folds = false, bool operated = false) {
    if (expr == nullptr) return;
    soft = soft || expr->kind == ExprKind::conditional;
    line_ = expr->line;
    if (expr->kind == ExprKind::filter) {
      expr->filter = find_filter(expr->text);
      if (expr->filter == nullptr && !soft) {
        if (unsupported_filter(expr->text)) refuse("the filter '{}' is not supported", expr->text);
        refuse("No filter named '{}'.", expr->text);
      }
    } else if (expr->kind == ExprKind::test) {
      expr->test = find_test(expr->text);
      if (expr->test == nullptr && !soft) refuse("No test named '{}'.", expr->text);
    }
    const bool is_constant = constant(*expr);
    expr->folded = expr->kind == ExprKind::slice && is_constant && folds;
    const bool literal =
        expr->kind == ExprKind::list || expr->kind == ExprKind::tuple || expr->kind == ExprKind::dict;
    if (expr->kind == ExprKind::dict && is_constant && operated) {
      for (std::size_t i = 0; i < expr->parts.size(); i += 2) {
        const ExprKind key = expr->parts[i]->kind;
        if (key == ExprKind::list || key == ExprKind::dict)
          refuse("unhashable type: a list or dict as a key");
      }
    }
    operated = operated || !literal;
    for (ExprPtr& part : expr->parts) functions(part, soft, is_constant, operated);
    functions(expr->more_arguments, soft, is_constant, operated);
    functions(expr->more_keywords, soft, is_constant, operated);
  }

  int& line_;
};

}  // namespace

void resolve_scopes(Tree& tree, int& line) {
  Symbols symbols;
  Resolver(line).scope(tree.root, symbols);
}

}  // namespace longsight::jinja
