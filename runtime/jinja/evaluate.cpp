// Expressions.
#include <algorithm>

#include "runtime/jinja/interpreter.h"

namespace longsight::jinja {

Value Interpreter::variable(int id, const Frame* frame) {
  auto& outside = context_[static_cast<std::size_t>(id)];
  for (; frame != nullptr; frame = frame->parent.get()) {
    for (const Frame::Variable& each : frame->variables) {
      if (each.id != id) continue;
      if (each.set) return each.value;
      return undefined(fmt::format("{} is undefined", quoted(tree_.names[static_cast<std::size_t>(id)])));
    }
  }
  if (!outside)
    outside = undefined(fmt::format("{} is undefined", quoted(tree_.names[static_cast<std::size_t>(id)])));
  return *outside;
}

Value Interpreter::evaluate(const Expr& expr, const FramePtr& frame) {
  if (expr.kind == ExprKind::constant) return expr.value;
  const Nested nested(run_);
  run_.spend(1);
  run_.line = expr.line;
  const auto part = [&](std::size_t i) { return evaluate(*expr.parts[i], frame); };
  const auto optional_part = [&](std::size_t i) { return expr.parts[i] != nullptr ? part(i) : Value(); };
  const auto parts = [&] {
    std::vector<Value> values;
    values.reserve(expr.parts.size());
    for (std::size_t i = 0; i < expr.parts.size(); ++i) values.push_back(part(i));
    return values;
  };
  switch (expr.kind) {
    case ExprKind::name:
      return variable(expr.id, frame.get());
    case ExprKind::list:
      return Value::list(parts());
    case ExprKind::tuple:
      return Value::tuple(parts());
    case ExprKind::dict: {
      auto dict = std::make_shared<Dict>();
      for (std::size_t i = 0; i < expr.parts.size(); i += 2) {
        const Value key = part(i);
        dict->set(run_, key, part(i + 1));
      }
      return Value(std::move(dict));
    }
    case ExprKind::conditional:
      if (test(*expr.parts[0], frame)) return part(1);
      if (expr.parts[2] != nullptr) return part(2);
      return undefined(fmt::format(
          "the inline if-expression on line {} evaluated to false and no else section was defined.",
          expr.line));
    case ExprKind::any: {
      Value left = part(0);
      return truth(run_, left) ? left : part(1);
    }
    case ExprKind::all: {
      Value left = part(0);
      return truth(run_, left) ? part(1) : left;
    }
    case ExprKind::negation:
      return Value::boolean(!test(*expr.parts[0], frame));
    case ExprKind::comparison:
      return comparison(expr, frame);
    case ExprKind::binary: {
      const Value left = part(0);
      const Value right = part(1);
      run_.line = expr.line;
      return binary(run_, expr.operation, left, right);
    }
    case ExprKind::concat:
      return concat(expr, frame);
    case ExprKind::minus:
      return negative(part(0));
    case ExprKind::plus:
      return positive(part(0));
    case ExprKind::attribute: {
      const Value object = part(0);
      run_.line = expr.line;
      return attribute(run_, object, expr.value);
    }
    case ExprKind::item: {
      const Value object = part(0);
      const Value key = part(1);
      run_.line = expr.line;
      return item(run_, object, key);
    }
    case ExprKind::slice: {
      const Value object = part(0);
      const Value start = optional_part(1);
      const Value stop = optional_part(2);
      const Value step = optional_part(3);
      if (expr.folded && (object.is(Kind::none) || object.is(Kind::dict) || is_number(object))) {
        return undefined(fmt::format("{} object has no element slice", type_name(object)));
      }
      return slice(run_, object, start, stop, step);
    }
    case ExprKind::call: {
      const Value callee = part(0);
      Arguments given = arguments(expr, frame);
      run_.line = expr.line;
      return call(run_, callee, std::move(given));
    }
    case ExprKind::filter:
      return filter(expr, frame, nullptr);
    case ExprKind::test: {
      if (expr.test == nullptr) refuse("No test named '{}' found.", expr.text);
      const Value value = part(0);
      Arguments given = arguments(expr, frame);
      run_.line = expr.line;
      return Value::boolean(expr.test(run_, value, std::move(given)));
    }
    default:
      refuse("this cannot be evaluated");
  }
}

Value Interpreter::comparison(const Expr& expr, const FramePtr& frame) {
  Value left = evaluate(*expr.parts[0], frame);
  for (std::size_t i = 0; i < expr.comparisons.size(); ++i) {
    Value right = evaluate(*expr.parts[i + 1], frame);
    run_.line = expr.line;
    if (!compare(run_, expr.comparisons[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::concat(const Expr& expr, const FramePtr& frame) {
  std::vector<Value> values;
  for (const ExprPtr& part : expr.parts) values.push_back(evaluate(*part, frame));
  TextBuilder out = run_.builder();
  for (const Value& value : values) print(run_, out, value);
  return out.value();
}

Value Interpreter::filter(const Expr& expr, const FramePtr& frame, const Value* block) {
  const Nested nested(run_);
  run_.line = expr.line;
  if (expr.filter == nullptr) {
    if (unsupported_filter(expr.text)) refuse("the filter '{}' is not supported", expr.text);
    refuse("No filter named '{}' found.", expr.text);
  }
  Value value;
  if (expr.parts[0] == nullptr) {
    value = *block;
  } else if (expr.parts[0]->kind == ExprKind::filter) {
    value = filter(*expr.parts[0], frame, block);
  } else {
    value = evaluate(*expr.parts[0], frame);
  }
  Arguments given = arguments(expr, frame);
  run_.line = expr.line;
  return expr.filter(run_, value, std::move(given));
}

Arguments Interpreter::arguments(const Expr& expr, const FramePtr& frame) {
  Arguments result;
  const std::size_t first_keyword = expr.parts.size() - expr.keywords.size();
  for (std::size_t i = 1; i < first_keyword; ++i)
    result.positional.push_back(evaluate(*expr.parts[i], frame));
  if (expr.more_arguments != nullptr) {
    for (Value& value : elements(run_, evaluate(*expr.more_arguments, frame)))
      result.positional.push_back(std::move(value));
  }
  for (std::size_t i = first_keyword; i < expr.parts.size(); ++i) {
    result.named.emplace_back(expr.keywords[i - first_keyword], evaluate(*expr.parts[i], frame));
  }
  if (expr.more_keywords != nullptr) {
    const Value more = evaluate(*expr.more_keywords, frame);
    require_defined(more);
    if (!more.is(Kind::dict)) refuse("argument after ** must be a mapping, not {}", type_name(more));
    for (const auto& [name, value] : more.dict().items) {
      run_.spend(1);
      if (!name.is(Kind::string)) refuse("keywords must be strings");
      const std::string& key = name.text().bytes;
      if (std::any_of(result.named.begin(), result.named.end(),
                      [&](const auto& given) { return given.first == key; })) {
        refuse("got multiple values for keyword argument {}", quoted(key));
      }
      result.named.emplace_back(key, value);
    }
  }
  return result;
}

}  // namespace longsight::jinja
