// Tokens to tree: jinja2's parser.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/jinja/syntax/ast.h"
#include "runtime/jinja/syntax/lexer.h"

namespace longsight::jinja {

inline constexpr int kMaxNesting = 100;  // of statements and expressions
// What a program has at most. The scopes of an elif lie in those of the one before it, and each knows the
// variables of all around it (scopes.cpp).
inline constexpr int kMaxTests = 200;  // of if and elif, around any statement
inline constexpr std::size_t kMaxNames = 1000;

class Parser {
 public:
  Parser(std::vector<Token> tokens, Tree& tree, int& line);
  Body program();

 private:
  using Words = std::initializer_list<std::string_view>;

  // parser.cpp: statements
  Body body_until(Words words);  // after the tag's last token; leaves the parser behind the ending word
  Body statements(Words words);
  Stmt statement();
  Stmt for_statement();
  Stmt if_statement();
  Stmt set_statement();
  Stmt macro_statement();
  Stmt call_statement();
  Stmt filter_statement();
  Stmt with_statement();
  void print_statement(Body& body);
  void signature(Stmt& stmt);
  Scope function_body(std::string_view end);
  ExprPtr target(bool with_namespace, bool until_in);
  void set_target(const Expr& target);

  // parse_expression.cpp
  ExprPtr expression(bool conditional = true);
  ExprPtr conditional();
  ExprPtr any_of();
  ExprPtr all_of();
  ExprPtr negation();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter = true);
  ExprPtr primary(bool with_namespace = false);
  ExprPtr tuple(bool simplified, bool conditional, Words ends, bool parentheses, bool with_namespace);
  ExprPtr postfix(ExprPtr expr);
  ExprPtr filters(ExprPtr expr);
  ExprPtr filter(ExprPtr expr, bool first_without_pipe);
  ExprPtr test(ExprPtr expr);
  ExprPtr subscript(ExprPtr expr);
  ExprPtr subscribed(bool& sliced);
  void arguments(Expr& call);

  const Token& token() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  void next();
  bool is_sign(std::string_view sign) const {
    return token().kind == TokenKind::sign && token().text == sign;
  }
  bool is_word(std::string_view word) const {
    return token().kind == TokenKind::name && token().text == word;
  }
  bool skip_sign(std::string_view sign);
  bool skip_word(std::string_view word);
  void expect(TokenKind kind);
  void expect_sign(std::string_view sign);
  void expect_word(std::string_view word);
  std::string expect_name();
  int id_of(const std::string& name);
  ExprPtr make(ExprKind kind, int line) const;
  ExprPtr with_parts(ExprKind kind, int line, ExprPtr a, ExprPtr b = nullptr);
  static void add(Expr& parent, ExprPtr part);

  std::vector<Token> tokens_;
  Tree& tree_;
  int& line_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  int tests_ = 0;  // around what is read
  int loops_ = 0;  // that a break may leave
  int fors_ = 0;   // that are open
  std::vector<std::string> open_;
  std::unordered_map<std::string, int> ids_;
};

std::string describe(const Token& token);

}  // namespace longsight::jinja
