// Does a program take contents as lists of parts?
#include <algorithm>
#include <map>
#include <set>

#include "runtime/jinja/syntax/ast.h"

namespace longsight::jinja {
namespace {

bool constant_string(const Expr& expr, std::string_view text) {
  return expr.kind == ExprKind::constant && expr.value.is(Kind::string) && expr.value.text().bytes == text;
}

// x.name, x['name'] or x.get('name')
bool member(const Expr& expr, std::string_view name) {
  if (expr.kind == ExprKind::call && expr.parts.size() > 1) {
    const Expr& callee = *expr.parts[0];
    return callee.kind == ExprKind::attribute && callee.value.text().bytes == "get" &&
           constant_string(*expr.parts[1], name);
  }
  if (expr.kind == ExprKind::attribute) return expr.value.text().bytes == name;
  return expr.kind == ExprKind::item && constant_string(*expr.parts[1], name);
}

const Expr& owner(const Expr& member) {
  return member.kind == ExprKind::call ? *member.parts[0]->parts[0] : *member.parts[0];
}

class Finder {
 public:
  bool search(const Body& body) {
    // Names that contents and parts get may be used further up, in macros: first all names, then the search.
    for (int round = 0; round < 3; ++round) {
      if (in(body)) return true;
    }
    return false;
  }

 private:
  // A content, or what it was named, was filtered to or chosen from.
  bool content(const Expr& expr) const {
    if (member(expr, "content")) return true;
    switch (expr.kind) {
      case ExprKind::name:
        return contents_.contains(expr.id);
      case ExprKind::filter:
        return expr.parts[0] != nullptr && content(*expr.parts[0]);
      case ExprKind::slice:
        return content(*expr.parts[0]);
      case ExprKind::conditional:
        return content(*expr.parts[1]) || (expr.parts[2] != nullptr && content(*expr.parts[2]));
      case ExprKind::any:
      case ExprKind::all:
        return content(*expr.parts[0]) || content(*expr.parts[1]);
      default:
        return false;
    }
  }

  // A part: an element of a content, by name or by index.
  bool part(const Expr& expr) const {
    if (expr.kind == ExprKind::name) return parts_.contains(expr.id);
    if (expr.kind == ExprKind::item && expr.parts[1]->kind == ExprKind::constant &&
        expr.parts[1]->value.is(Kind::integer)) {
      return content(*expr.parts[0]);
    }
    return expr.kind == ExprKind::filter && (expr.text == "first" || expr.text == "last") &&
           expr.parts[0] != nullptr && content(*expr.parts[0]);
  }

  bool in(const Expr& expr) {
    if (expr.kind == ExprKind::call && expr.parts[0]->kind == ExprKind::name) pass(expr);
    for (const std::string_view key : {"type", "text", "image", "image_url", "video"}) {
      if (member(expr, key) && part(owner(expr))) return true;
    }
    if (expr.kind == ExprKind::comparison && expr.comparisons[0] == Comparison::in && part(*expr.parts[1]))
      return true;
    if (expr.kind == ExprKind::filter && (expr.text == "selectattr" || expr.text == "rejectattr") &&
        expr.parts.size() > 1 && expr.parts[0] != nullptr && content(*expr.parts[0]) &&
        constant_string(*expr.parts[1], "type")) {
      return true;
    }
    return std::any_of(expr.parts.begin(), expr.parts.end(),
                       [this](const ExprPtr& each) { return each != nullptr && in(*each); });
  }

  bool in(const ExprPtr& expr) { return expr != nullptr && in(*expr); }

  bool in(const Body& body) {
    return std::any_of(body.begin(), body.end(), [this](const Stmt& stmt) { return in(stmt); });
  }

  bool in(const Stmt& stmt) {
    if (stmt.expr != nullptr && stmt.target != nullptr && stmt.target->kind == ExprKind::name) {
      const int id = stmt.target->id;
      if (stmt.kind == StmtKind::loop && content(*stmt.expr)) parts_.insert(id);
      if (stmt.kind == StmtKind::assignment && content(*stmt.expr)) contents_.insert(id);
      if (stmt.kind == StmtKind::assignment && part(*stmt.expr)) parts_.insert(id);
    }
    if (stmt.kind == StmtKind::macro) macros_[stmt.id] = &stmt;
    const auto any = [this](const std::vector<ExprPtr>& all) {
      return std::any_of(all.begin(), all.end(), [this](const ExprPtr& each) { return in(each); });
    };
    return in(stmt.expr) || in(stmt.filter) || any(stmt.tests) || any(stmt.defaults) ||
           std::any_of(stmt.bodies.begin(), stmt.bodies.end(),
                       [this](const Scope& scope) { return in(scope.body); });
  }

  // What a macro calls a content or a part that it is given.
  void pass(const Expr& call) {
    const auto macro = macros_.find(call.parts[0]->id);
    if (macro == macros_.end()) return;
    const std::vector<int>& parameters = macro->second->parameters;
    for (std::size_t i = 1; i < call.parts.size() - call.keywords.size() && i <= parameters.size(); ++i) {
      if (content(*call.parts[i])) contents_.insert(parameters[i - 1]);
      if (part(*call.parts[i])) parts_.insert(parameters[i - 1]);
    }
  }

  std::map<int, const Stmt*> macros_;
  std::set<int> contents_, parts_;
};

}  // namespace

bool takes_parts(const Tree& tree) {
  return Finder().search(tree.root.body);
}

}  // namespace longsight::jinja
