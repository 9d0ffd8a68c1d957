// The tree of a program.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/python/python.h"

namespace longsight::jinja {

enum class ExprKind : std::uint8_t {
  constant,  // value
  name,      // id
  list,
  tuple,        // parts
  dict,         // parts: key, value, key, value, ..
  conditional,  // parts: test, then, otherwise (or null)
  any,
  all,         // or, and: two parts
  negation,    // not: parts[0]
  comparison,  // parts, with comparisons between them
  binary,      // parts[0] operation parts[1]
  concat,      // parts
  minus,
  plus,       // parts[0]
  attribute,  // parts[0].value
  item,       // parts[0][parts[1]]
  slice,      // parts[0][parts[1]:parts[2]:parts[3]], each but the first may be null
  call,       // parts[0](parts[1], ..)
  filter,     // parts[0] | text(parts[1], ..); parts[0] is null in {% filter %} and {% set %}: what the block
              // holds
  test,       // parts[0] is text(parts[1], ..)
  namespace_target,  // id.value, only assigned to
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  ExprKind kind = ExprKind::constant;
  int line = 1;
  int height = 1;
  int id = -1;
  Value value;
  std::string text;
  std::vector<ExprPtr> parts;
  std::vector<Comparison> comparisons;
  Binary operation = Binary::add;
  // Of calls, filters and tests: the last keywords.size() parts are `keyword=part`; *list and **dict.
  std::vector<std::string> keywords;
  ExprPtr more_arguments;
  ExprPtr more_keywords;
  // A slice of a constant: jinja2 computes it beforehand, by other rules, where what cannot be sliced is
  // undefined.
  bool folded = false;
  FilterBody filter = nullptr;
  TestBody test = nullptr;
};

enum class StmtKind : std::uint8_t {
  text,          // value
  output,        // expr
  choice,        // tests and bodies; one more body: else
  loop,          // for target in expr if filter: bodies[0], else bodies[1]
  assignment,    // set target = expr
  block_set,     // set target | filter: bodies[0]
  macro,         // id, parameters, defaults, bodies[0]
  call_block,    // expr, parameters, defaults, bodies[0]
  filter_block,  // filter, bodies[0]
  with,          // targets = values: bodies[0]
  generation,    // bodies[0]
  break_,
  continue_,
};

struct Stmt;
using Body = std::vector<Stmt>;

// A stretch of the program with variables of its own.
struct Scope {
  Body body;
  // Variables that are undefined until the scope assigns to them, whatever there is outside.
  std::vector<int> hidden;
};

struct Stmt {
  StmtKind kind = StmtKind::text;
  int line = 1;
  int id = -1;
  Value value;
  ExprPtr expr;
  ExprPtr target;
  ExprPtr filter;
  std::vector<ExprPtr> tests;  // of a choice; targets of `with`
  std::vector<Scope> bodies;
  bool recursive = false;   // loop
  bool reads_loop = false;  // loop: its body uses the variable `loop`
  std::vector<int> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters; values of `with`
  // Of a macro and a call block: which special variables its body reads without assigning to them.
  bool takes_caller = false, takes_varargs = false, takes_kwargs = false;
};

// Variables that every tree has.
inline constexpr int kLoop = 0, kCaller = 1, kVarargs = 2, kKwargs = 3;

struct Tree {
  Scope root;
  std::vector<std::string> names;  // of variables, by id
  bool marks_generation = false;
};

// Refuses what is no program; `line` says where.
Tree parse(std::string_view source, int& line);

// What follows from the tree alone: hidden variables, special parameters of macros, functions of filters and
// tests.
void resolve_scopes(Tree& tree, int& line);

// See Template::takes_parts.
bool takes_parts(const Tree& tree);

}  // namespace longsight::jinja
