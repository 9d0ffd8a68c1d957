#include "model/gathered.h"

#include <algorithm>

#include "parallel/sharded_parameters.h"
#include "runtime/ops/adamw.h"

namespace longsight::model {

Gathered::Gathered(Need need, std::initializer_list<ParameterId> members, const Workspace& w) : w_(w) {
  ParameterRegistry& p = w.parameters;
  const bool values = need != Need::gradients && p.sharding().values(),
             gradients = need != Need::values && p.sharding().gradients();
  if (!values && !gradients) return;
  check(w.world != nullptr, "parameters are dealt over ranks, and the pass knows of no world");
  memory_.emplace(w.scratch);
  for (const ParameterId member : members) {
    const i64 number = p.unit_of(member);
    if (std::any_of(units_.begin(), units_.end(), [&](const Unit& u) { return u.number == number; }))
      continue;
    const ParameterUnit& unit = p.units()[static_cast<std::size_t>(number)];
    Unit gathered{.number = number, .weights = {}, .gradients = {}};
    if (values) {
      gathered.weights = w.scratch.take(p.precision().activations, {unit.elements}, "gathered weights");
      parallel::gather_unit(p, number, gathered.weights, *w.world, w.stream);
    }
    if (gradients && unit.trained > 0) {
      gathered.gradients = w.scratch.take(p.precision().gradients, {unit.trained}, "gradients of a unit");
      fill_zero(gathered.gradients, w.stream);
    }
    p.place(number, gathered.weights, gathered.gradients);
    units_.push_back(gathered);
  }
}

Gathered::~Gathered() {
  for (const Unit& unit : units_) w_.parameters.release(unit.number);
}

void Gathered::send_gradients() {
  for (const Unit& unit : units_) {
    if (!unit.gradients) continue;
    if (w_.own_squares) ops::sum_of_squares(w_.own_squares, unit.gradients, w_.stream);
    parallel::send_gradients(w_.parameters, unit.number, unit.gradients, *w_.world, w_.stream);
  }
}

}  // namespace longsight::model
