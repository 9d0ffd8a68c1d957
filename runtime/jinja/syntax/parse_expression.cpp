// The part of the parser that reads expressions: one function for each level of precedence.
#include <algorithm>

#include "runtime/jinja/syntax/parser.h"

namespace longsight::jinja {
namespace {

// Evaluation and destruction go down a tree by recursion.
constexpr int kMaxOperations = 250;

}  // namespace

ExprPtr Parser::make(ExprKind kind, int line) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  return expr;
}

void Parser::add(Expr& parent, ExprPtr part) {
  if (part != nullptr) parent.height = std::max(parent.height, part->height + 1);
  if (parent.height > kMaxOperations) refuse("more than {} operations inside of each other", kMaxOperations);
  parent.parts.push_back(std::move(part));
}

ExprPtr Parser::with_parts(ExprKind kind, int line, ExprPtr a, ExprPtr b) {
  ExprPtr expr = make(kind, line);
  add(*expr, std::move(a));
  if (b != nullptr) add(*expr, std::move(b));
  return expr;
}

ExprPtr Parser::expression(bool with_conditional) {
  if (++nesting_ > kMaxNesting)
    refuse("more than {} statements or expressions inside of each other", kMaxNesting);
  ExprPtr expr = with_conditional ? conditional() : any_of();
  --nesting_;
  return expr;
}

ExprPtr Parser::conditional() {
  const int line = token().line;
  ExprPtr expr = any_of();
  while (skip_word("if")) {
    ExprPtr test = any_of();
    ExprPtr otherwise = skip_word("else") ? expression() : nullptr;
    ExprPtr whole = make(ExprKind::conditional, line);
    add(*whole, std::move(test));
    add(*whole, std::move(expr));
    add(*whole, std::move(otherwise));
    expr = std::move(whole);
  }
  return expr;
}

ExprPtr Parser::any_of() {
  ExprPtr left = all_of();
  while (is_word("or")) {
    const int line = token().line;
    next();
    left = with_parts(ExprKind::any, line, std::move(left), all_of());
  }
  return left;
}

ExprPtr Parser::all_of() {
  ExprPtr left = negation();
  while (is_word("and")) {
    const int line = token().line;
    next();
    left = with_parts(ExprKind::all, line, std::move(left), negation());
  }
  return left;
}

ExprPtr Parser::negation() {
  int count = 0;
  const int line = token().line;
  while (skip_word("not")) ++count;
  ExprPtr expr = comparison();
  for (; count > 0; --count) expr = with_parts(ExprKind::negation, line, std::move(expr));
  return expr;
}

ExprPtr Parser::comparison() {
  constexpr std::pair<std::string_view, Comparison> kSigns[] = {
      {"==", Comparison::eq}, {"!=", Comparison::ne}, {"<", Comparison::lt},
      {"<=", Comparison::le}, {">", Comparison::gt},  {">=", Comparison::ge}};
  ExprPtr first = sum();
  ExprPtr whole;
  while (true) {
    const int line = token().line;
    std::optional<Comparison> how;
    for (const auto& [sign, comparison] : kSigns) {
      if (is_sign(sign)) how = comparison;
    }
    if (how) {
      next();
    } else if (skip_word("in")) {
      how = Comparison::in;
    } else if (is_word("not") && ahead().kind == TokenKind::name && ahead().text == "in") {
      next();
      next();
      how = Comparison::not_in;
    } else {
      break;
    }
    if (whole == nullptr) whole = with_parts(ExprKind::comparison, line, std::move(first));
    whole->comparisons.push_back(*how);
    add(*whole, sum());
  }
  return whole != nullptr ? std::move(whole) : std::move(first);
}

ExprPtr Parser::sum() {
  ExprPtr left = concat();
  while (is_sign("+") || is_sign("-")) {
    const Binary operation = is_sign("+") ? Binary::add : Binary::subtract;
    const int line = token().line;
    next();
    left = with_parts(ExprKind::binary, line, std::move(left), concat());
    left->operation = operation;
  }
  return left;
}

ExprPtr Parser::concat() {
  ExprPtr first = product();
  if (!is_sign("~")) return first;
  ExprPtr whole = with_parts(ExprKind::concat, token().line, std::move(first));
  while (skip_sign("~")) add(*whole, product());
  return whole;
}

ExprPtr Parser::product() {
  constexpr std::pair<std::string_view, Binary> kSigns[] = {
      {"*", Binary::multiply}, {"/", Binary::divide}, {"//", Binary::floor_divide}, {"%", Binary::modulo}};
  ExprPtr left = power();
  while (true) {
    std::optional<Binary> operation;
    for (const auto& [sign, binary] : kSigns) {
      if (is_sign(sign)) operation = binary;
    }
    if (!operation) return left;
    const int line = token().line;
    next();
    left = with_parts(ExprKind::binary, line, std::move(left), power());
    left->operation = *operation;
  }
}

ExprPtr Parser::power() {
  ExprPtr left = unary();
  while (is_sign("**")) {
    const int line = token().line;
    next();
    left = with_parts(ExprKind::binary, line, std::move(left), unary());
    left->operation = Binary::power;
  }
  return left;
}

ExprPtr Parser::unary(bool with_filter) {
  const int line = token().line;
  ExprPtr expr;
  if (is_sign("-") || is_sign("+")) {
    const ExprKind kind = is_sign("-") ? ExprKind::minus : ExprKind::plus;
    next();
    if (++nesting_ > kMaxNesting)
      refuse("more than {} statements or expressions inside of each other", kMaxNesting);
    expr = with_parts(kind, line, unary(false));
    --nesting_;
  } else {
    expr = primary();
  }
  expr = postfix(std::move(expr));
  return with_filter ? filters(std::move(expr)) : std::move(expr);
}

ExprPtr Parser::primary(bool with_namespace) {
  const Token here = token();
  ExprPtr expr = make(ExprKind::constant, here.line);
  switch (here.kind) {
    case TokenKind::name:
      next();
      if (here.text == "true" || here.text == "True") {
        expr->value = Value::boolean(true);
      } else if (here.text == "false" || here.text == "False") {
        expr->value = Value::boolean(false);
      } else if (here.text != "none" && here.text != "None") {
        expr->kind = ExprKind::name;
        expr->id = id_of(here.text);
        if (with_namespace && skip_sign(".")) {
          expr->kind = ExprKind::namespace_target;
          expr->value = Value::string(expect_name());
        }
      }
      return expr;
    case TokenKind::string: {
      std::string text;
      while (token().kind == TokenKind::string) {
        text += token().text;
        next();
      }
      expr->value = Value::string(std::move(text));
      return expr;
    }
    case TokenKind::integer:
      next();
      expr->value = Value::integer(here.integer);
      return expr;
    case TokenKind::real:
      next();
      expr->value = Value::real(here.real);
      return expr;
    default:
      break;
  }
  if (skip_sign("(")) {
    if (++nesting_ > kMaxNesting)
      refuse("more than {} statements or expressions inside of each other", kMaxNesting);
    expr = tuple(false, true, {}, true, false);
    --nesting_;
    expect_sign(")");
    return expr;
  }
  if (skip_sign("[")) {
    expr->kind = ExprKind::list;
    while (!is_sign("]")) {
      if (!expr->parts.empty()) expect_sign(",");
      if (is_sign("]")) break;
      add(*expr, expression());
    }
    expect_sign("]");
    return expr;
  }
  if (skip_sign("{")) {
    expr->kind = ExprKind::dict;
    while (!is_sign("}")) {
      if (!expr->parts.empty()) expect_sign(",");
      if (is_sign("}")) break;
      add(*expr, expression());
      expect_sign(":");
      add(*expr, expression());
    }
    expect_sign("}");
    return expr;
  }
  refuse("unexpected '{}'", describe(here));
}

ExprPtr Parser::tuple(bool simplified, bool with_conditional, Words ends, bool parentheses,
                      bool with_namespace) {
  const int line = token().line;
  ExprPtr whole = make(ExprKind::tuple, line);
  bool is_tuple = false;
  while (true) {
    if (!whole->parts.empty()) expect_sign(",");
    if (token().kind == TokenKind::variable_end || token().kind == TokenKind::block_end || is_sign(")") ||
        std::any_of(ends.begin(), ends.end(), [this](std::string_view word) { return is_word(word); })) {
      break;
    }
    add(*whole, simplified ? primary(with_namespace) : expression(with_conditional));
    if (!is_sign(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return whole;
  if (!whole->parts.empty()) return std::move(whole->parts.front());
  if (!parentheses) refuse("Expected an expression, got '{}'", describe(token()));
  return whole;
}

ExprPtr Parser::postfix(ExprPtr expr) {
  while (true) {
    if (is_sign(".") || is_sign("[")) {
      expr = subscript(std::move(expr));
    } else if (is_sign("(")) {
      ExprPtr call = with_parts(ExprKind::call, token().line, std::move(expr));
      arguments(*call);
      expr = std::move(call);
    } else {
      return expr;
    }
  }
}

ExprPtr Parser::filters(ExprPtr expr) {
  while (true) {
    if (is_sign("|")) {
      expr = filter(std::move(expr), false);
    } else if (is_word("is")) {
      expr = test(std::move(expr));
    } else if (is_sign("(")) {
      ExprPtr call = with_parts(ExprKind::call, token().line, std::move(expr));
      arguments(*call);
      expr = std::move(call);
    } else {
      return expr;
    }
  }
}

ExprPtr Parser::subscript(ExprPtr expr) {
  const int line = token().line;
  if (skip_sign(".")) {
    if (token().kind == TokenKind::name) {
      ExprPtr result = with_parts(ExprKind::attribute, line, std::move(expr));
      result->value = Value::string(token().text);
      next();
      return result;
    }
    if (token().kind != TokenKind::integer) refuse("expected name or number");
    ExprPtr key = make(ExprKind::constant, token().line);
    key->value = Value::integer(token().integer);
    next();
    return with_parts(ExprKind::item, line, std::move(expr), std::move(key));
  }
  expect_sign("[");
  bool sliced = false;
  ExprPtr result = make(ExprKind::item, line);
  add(*result, std::move(expr));
  std::vector<ExprPtr> keys;
  while (!is_sign("]")) {
    if (!keys.empty()) expect_sign(",");
    keys.push_back(subscribed(sliced));
  }
  expect_sign("]");
  if (sliced) {
    if (keys.size() != 1) refuse("a slice among several indices is not supported");
    result->kind = ExprKind::slice;
    for (ExprPtr& part : keys.front()->parts) add(*result, std::move(part));
    return result;
  }
  if (keys.size() == 1) {
    add(*result, std::move(keys.front()));
    return result;
  }
  ExprPtr key = make(ExprKind::tuple, line);
  for (ExprPtr& each : keys) add(*key, std::move(each));
  add(*result, std::move(key));
  return result;
}

// An index, or a list of the three parts of a slice.
ExprPtr Parser::subscribed(bool& sliced) {
  const int line = token().line;
  ExprPtr start;
  if (!is_sign(":")) {
    start = expression();
    if (!is_sign(":")) return start;
  }
  next();
  sliced = true;
  const auto absent = [this] { return is_sign(":") || is_sign("]") || is_sign(","); };
  ExprPtr stop = absent() ? nullptr : expression();
  ExprPtr step;
  if (skip_sign(":")) step = is_sign("]") || is_sign(",") ? nullptr : expression();
  ExprPtr parts = make(ExprKind::list, line);
  add(*parts, std::move(start));
  add(*parts, std::move(stop));
  add(*parts, std::move(step));
  return parts;
}

void Parser::arguments(Expr& call) {
  const auto ensure = [](bool ok) {
    if (!ok) refuse("invalid syntax for function call expression");
  };
  const auto extra = [&](ExprPtr& slot) {
    next();
    slot = expression();
    call.height = std::max(call.height, slot->height + 1);
  };
  expect_sign("(");
  bool first = true;
  while (!is_sign(")")) {
    if (!first) {
      expect_sign(",");
      if (is_sign(")")) break;
    }
    first = false;
    if (is_sign("*")) {
      ensure(call.more_arguments == nullptr && call.more_keywords == nullptr);
      extra(call.more_arguments);
    } else if (is_sign("**")) {
      ensure(call.more_keywords == nullptr);
      extra(call.more_keywords);
    } else if (token().kind == TokenKind::name && ahead().kind == TokenKind::sign && ahead().text == "=") {
      ensure(call.more_keywords == nullptr);
      std::string keyword = token().text;
      if (std::find(call.keywords.begin(), call.keywords.end(), keyword) != call.keywords.end()) {
        refuse("keyword argument repeated: {}", keyword);
      }
      call.keywords.push_back(std::move(keyword));
      next();
      next();
      add(call, expression());
    } else {
      ensure(call.more_arguments == nullptr && call.more_keywords == nullptr && call.keywords.empty());
      add(call, expression());
    }
  }
  expect_sign(")");
}

ExprPtr Parser::filter(ExprPtr expr, bool first_without_pipe) {
  while (is_sign("|") || first_without_pipe) {
    if (!first_without_pipe) next();
    first_without_pipe = false;
    ExprPtr result = make(ExprKind::filter, token().line);
    result->text = expect_name();
    while (skip_sign(".")) result->text += "." + expect_name();
    add(*result, std::move(expr));
    if (is_sign("(")) arguments(*result);
    expr = std::move(result);
  }
  return expr;
}

ExprPtr Parser::test(ExprPtr expr) {
  const int line = token().line;
  next();
  const bool negated = skip_word("not");
  ExprPtr result = with_parts(ExprKind::test, line, std::move(expr));
  result->text = expect_name();
  while (skip_sign(".")) result->text += "." + expect_name();
  const bool operand = token().kind == TokenKind::name || token().kind == TokenKind::string ||
                       token().kind == TokenKind::integer || token().kind == TokenKind::real ||
                       is_sign("[") || is_sign("{");
  if (is_sign("(")) {
    arguments(*result);
  } else if (operand && !is_word("else") && !is_word("or") && !is_word("and")) {
    if (is_word("is")) refuse("You cannot chain multiple tests with is");
    add(*result, postfix(primary()));
  }
  return negated ? with_parts(ExprKind::negation, line, std::move(result)) : std::move(result);
}

}  // namespace longsight::jinja
