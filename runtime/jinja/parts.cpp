// Does a program take contents as lists of parts?
#include <algorithm>
#include <set>

#include "runtime/jinja/ast.h"

namespace longsight::jinja {
namespace {

bool constant_string(const Expr& expr, std::string_view text) {
  return expr.kind == ExprKind::constant && expr.value.is(Kind::string) && expr.value.text().bytes == text;
}

// x.name or x['name']
bool member(const Expr& expr, std::string_view name) {
  if (expr.kind == ExprKind::attribute) return expr.value.text().bytes == name;
  return expr.kind == ExprKind::item && constant_string(*expr.parts[1], name);
}

class Finder {
 public:
  bool search(const Body& body) {
    // Once for the names that contents get, wherever they are used before; then again.
    return in(body) || in(body);
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

  bool in(const Expr& expr) const {
    for (const std::string_view key : {"type", "text", "image", "image_url", "video"}) {
      if (member(expr, key) && part(*expr.parts[0])) return true;
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

  bool in(const ExprPtr& expr) const { return expr != nullptr && in(*expr); }

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
    // A macro that is given a content calls it something; `content` is what it is called.
    if (stmt.kind == StmtKind::macro) contents_.insert(stmt.parameters.begin(), stmt.parameters.end());
    const auto any = [this](const std::vector<ExprPtr>& all) {
      return std::any_of(all.begin(), all.end(), [this](const ExprPtr& each) { return in(each); });
    };
    return in(stmt.expr) || in(stmt.filter) || any(stmt.tests) || any(stmt.defaults) ||
           std::any_of(stmt.bodies.begin(), stmt.bodies.end(),
                       [this](const Scope& scope) { return in(scope.body); });
  }

  std::set<int> contents_, parts_;
};

}  // namespace

bool takes_parts(const Tree& tree) {
  return Finder().search(tree.root.body);
}

}  // namespace longsight::jinja
