#include "runtime/jinja/syntax/parser.h"

#include <algorithm>

namespace longsight::jinja {
namespace {

class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) {
    if (++depth_ > kMaxNesting)
      refuse("more than {} statements or expressions inside of each other", kMaxNesting);
  }
  ~Deeper() { --depth_; }

 private:
  int& depth_;
};

Scope scope(Body body) {
  Scope result;
  result.body = std::move(body);
  return result;
}

}  // namespace

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::data:
      return "template data / text";
    case TokenKind::block_begin:
      return "begin of statement block";
    case TokenKind::block_end:
      return "end of statement block";
    case TokenKind::variable_begin:
      return "begin of print statement";
    case TokenKind::variable_end:
      return "end of print statement";
    case TokenKind::string:
      return "string";
    case TokenKind::integer:
      return "integer";
    case TokenKind::real:
      return "float";
    case TokenKind::end:
      return "end of template";
    default:
      return token.text;
  }
}

Parser::Parser(std::vector<Token> tokens, Tree& tree, int& line)
    : tokens_(std::move(tokens)), tree_(tree), line_(line) {
  for (const char* name : {"loop", "caller", "varargs", "kwargs"}) id_of(name);
}

void Parser::next() {
  if (at_ + 1 < tokens_.size()) ++at_;
  line_ = token().line;
}

bool Parser::skip_sign(std::string_view sign) {
  if (!is_sign(sign)) return false;
  next();
  return true;
}

bool Parser::skip_word(std::string_view word) {
  if (!is_word(word)) return false;
  next();
  return true;
}

void Parser::expect(TokenKind kind) {
  if (token().kind != kind) {
    Token wanted;
    wanted.kind = kind;
    if (kind == TokenKind::name) wanted.text = "name";
    if (token().kind == TokenKind::end)
      refuse("unexpected end of template, expected '{}'.", describe(wanted));
    refuse("expected token '{}', got '{}'", describe(wanted), describe(token()));
  }
  next();
}

void Parser::expect_sign(std::string_view sign) {
  if (token().kind == TokenKind::end) refuse("unexpected end of template, expected '{}'.", sign);
  if (!skip_sign(sign)) refuse("expected token '{}', got '{}'", sign, describe(token()));
}

void Parser::expect_word(std::string_view word) {
  if (token().kind == TokenKind::end) refuse("unexpected end of template, expected '{}'.", word);
  if (!skip_word(word)) refuse("expected token '{}', got '{}'", word, describe(token()));
}

std::string Parser::expect_name() {
  std::string name = token().text;
  expect(TokenKind::name);
  return name;
}

int Parser::id_of(const std::string& name) {
  const auto [found, added] = ids_.emplace(name, static_cast<int>(tree_.names.size()));
  if (added) tree_.names.push_back(name);
  if (tree_.names.size() > kMaxNames) refuse("more than {} names of variables", kMaxNames);
  return found->second;
}

Body Parser::program() {
  return statements({});
}

Body Parser::body_until(Words words) {
  skip_sign(":");
  expect(TokenKind::block_end);
  Body body = statements(words);
  if (token().kind == TokenKind::end) {
    refuse("Unexpected end of template. The innermost block that needs to be closed is '{}'.", open_.back());
  }
  return body;
}

Body Parser::statements(Words words) {
  const Deeper deeper(nesting_);
  Body body;
  while (token().kind != TokenKind::end) {
    line_ = token().line;
    Stmt stmt;
    stmt.line = token().line;
    if (token().kind == TokenKind::data) {
      stmt.value = Value::string(token().text);
      body.push_back(std::move(stmt));
      next();
    } else if (token().kind == TokenKind::variable_begin) {
      next();
      stmt.kind = StmtKind::output;
      stmt.expr = tuple(false, true, {}, false, false);
      body.push_back(std::move(stmt));
      expect(TokenKind::variable_end);
    } else {
      next();
      if (std::any_of(words.begin(), words.end(), [this](std::string_view word) { return is_word(word); }))
        return body;
      if (is_word("print")) {
        print_statement(body);
      } else {
        body.push_back(statement());
      }
      expect(TokenKind::block_end);
    }
  }
  return body;
}

Stmt Parser::statement() {
  if (token().kind != TokenKind::name) refuse("tag name expected");
  const std::string tag = token().text;
  const int line = token().line;
  open_.push_back(tag);
  Stmt stmt;
  if (tag == "for") {
    stmt = for_statement();
  } else if (tag == "if") {
    stmt = if_statement();
  } else if (tag == "set") {
    stmt = set_statement();
  } else if (tag == "macro") {
    stmt = macro_statement();
  } else if (tag == "call") {
    stmt = call_statement();
  } else if (tag == "filter") {
    stmt = filter_statement();
  } else if (tag == "with") {
    stmt = with_statement();
  } else if (tag == "generation") {
    next();
    stmt.kind = StmtKind::generation;
    stmt.bodies.push_back(function_body("endgeneration"));
    tree_.marks_generation = true;
  } else if (tag == "break" || tag == "continue") {
    if (loops_ == 0) refuse("{{% {} %}} outside of a loop", tag);
    next();
    stmt.kind = tag == "break" ? StmtKind::break_ : StmtKind::continue_;
  } else if (tag == "extends" || tag == "include" || tag == "import" || tag == "from" || tag == "block" ||
             tag == "autoescape") {
    refuse("{{% {} %}} is not supported", tag);
  } else {
    open_.pop_back();
    if (open_.empty()) refuse("Encountered unknown tag '{}'.", tag);
    refuse("Encountered unknown tag '{}'. The innermost block that needs to be closed is '{}'.", tag,
           open_.back());
  }
  stmt.line = line;
  open_.pop_back();
  return stmt;
}

void Parser::print_statement(Body& body) {
  next();
  bool first = true;
  while (token().kind != TokenKind::block_end) {
    if (!first) expect_sign(",");
    first = false;
    Stmt stmt;
    stmt.kind = StmtKind::output;
    stmt.line = token().line;
    stmt.expr = expression();
    body.push_back(std::move(stmt));
  }
}

ExprPtr Parser::target(bool with_namespace, bool until_in) {
  ExprPtr expr = until_in ? tuple(true, true, {"in"}, false, with_namespace)
                          : tuple(true, true, {}, false, with_namespace);
  set_target(*expr);
  return expr;
}

// Refuses what cannot be assigned to.
void Parser::set_target(const Expr& expr) {
  if (expr.kind == ExprKind::tuple) {
    for (const ExprPtr& part : expr.parts) set_target(*part);
    return;
  }
  if (expr.kind != ExprKind::name && expr.kind != ExprKind::namespace_target) refuse("can't assign to that");
}

namespace {

bool assigns_loop(const Expr& target) {
  if (target.kind == ExprKind::name) return target.id == kLoop;
  return std::any_of(target.parts.begin(), target.parts.end(),
                     [](const ExprPtr& part) { return assigns_loop(*part); });
}

}  // namespace

Stmt Parser::for_statement() {
  next();
  Stmt stmt;
  stmt.kind = StmtKind::loop;
  stmt.target = target(false, true);
  if (assigns_loop(*stmt.target)) refuse("Can't assign to special loop variable in for-loop target");
  expect_word("in");
  stmt.expr = tuple(false, false, {"recursive"}, false, false);
  if (skip_word("if")) stmt.filter = expression();
  stmt.recursive = skip_word("recursive");
  ++fors_;
  ++loops_;
  stmt.bodies.push_back(scope(body_until({"endfor", "else"})));
  --loops_;
  if (skip_word("else")) stmt.bodies.push_back(scope(body_until({"endfor"})));
  --fors_;
  expect_word("endfor");
  return stmt;
}

Stmt Parser::if_statement() {
  next();
  Stmt stmt;
  stmt.kind = StmtKind::choice;
  const int before = tests_;
  while (true) {
    if (++tests_ > kMaxTests) refuse("more than {} tests of if and elif around a statement", kMaxTests);
    stmt.tests.push_back(tuple(false, false, {}, false, false));
    stmt.bodies.push_back(scope(body_until({"elif", "else", "endif"})));
    if (skip_word("elif")) continue;
    if (skip_word("else")) stmt.bodies.push_back(scope(body_until({"endif"})));
    expect_word("endif");
    tests_ = before;
    return stmt;
  }
}

Stmt Parser::set_statement() {
  next();
  Stmt stmt;
  stmt.target = target(true, false);
  if (fors_ > 0 && assigns_loop(*stmt.target))
    refuse("Can't assign to special loop variable in for-loop target");
  if (skip_sign("=")) {
    stmt.kind = StmtKind::assignment;
    stmt.expr = tuple(false, true, {}, false, false);
    return stmt;
  }
  stmt.kind = StmtKind::block_set;
  if (is_sign("|")) stmt.filter = filter(nullptr, false);
  stmt.bodies.push_back(scope(body_until({"endset"})));
  expect_word("endset");
  return stmt;
}

void Parser::signature(Stmt& stmt) {
  expect_sign("(");
  while (!is_sign(")")) {
    if (!stmt.parameters.empty()) expect_sign(",");
    stmt.parameters.push_back(id_of(expect_name()));
    if (skip_sign("=")) {
      stmt.defaults.push_back(expression());
    } else if (!stmt.defaults.empty()) {
      refuse("non-default argument follows default argument");
    }
  }
  expect_sign(")");
  std::vector<int> sorted = stmt.parameters;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    refuse("two parameters of the same name");
}

// A body that runs as a function: no break leads out of it.
Scope Parser::function_body(std::string_view end) {
  const int loops = std::exchange(loops_, 0);
  Scope result = scope(body_until({end}));
  loops_ = loops;
  expect_word(end);
  return result;
}

Stmt Parser::macro_statement() {
  next();
  Stmt stmt;
  stmt.kind = StmtKind::macro;
  stmt.id = id_of(expect_name());
  signature(stmt);
  stmt.bodies.push_back(function_body("endmacro"));
  return stmt;
}

Stmt Parser::call_statement() {
  next();
  Stmt stmt;
  stmt.kind = StmtKind::call_block;
  if (is_sign("(")) signature(stmt);
  stmt.expr = expression();
  if (stmt.expr->kind != ExprKind::call) refuse("expected call");
  stmt.bodies.push_back(function_body("endcall"));
  return stmt;
}

Stmt Parser::filter_statement() {
  next();
  Stmt stmt;
  stmt.kind = StmtKind::filter_block;
  stmt.filter = filter(nullptr, true);
  stmt.bodies.push_back(scope(body_until({"endfilter"})));
  expect_word("endfilter");
  return stmt;
}

Stmt Parser::with_statement() {
  next();
  Stmt stmt;
  stmt.kind = StmtKind::with;
  while (token().kind != TokenKind::block_end) {
    if (!stmt.tests.empty()) expect_sign(",");
    stmt.tests.push_back(target(false, false));
    expect_sign("=");
    stmt.defaults.push_back(expression());
  }
  stmt.bodies.push_back(scope(body_until({"endwith"})));
  expect_word("endwith");
  return stmt;
}

Tree parse(std::string_view source, int& line) {
  Tree tree;
  std::vector<Token> tokens = tokens_of(source, line);
  line = 1;
  tree.root.body = Parser(std::move(tokens), tree, line).program();
  resolve_scopes(tree, line);
  return tree;
}

}  // namespace longsight::jinja
