// The parameters of a unit while a layer uses them, where they are dealt over ranks; where every rank holds
// them, nothing happens.
#pragma once

#include <initializer_list>
#include <optional>
#include <vector>

#include "model/workspace.h"

namespace longsight::model {

class Gathered {
 public:
  enum class Need { values, gradients, both };

  // Gathers the weights of the units that these parameters belong to, and makes room for their gradients, as
  // far as they are dealt. The memory is scratch, and this scope's. Collective over the workspace's world.
  Gathered(Need, std::initializer_list<ParameterId> members, const Workspace&);
  ~Gathered();  // releases them
  Gathered(const Gathered&) = delete;
  Gathered& operator=(const Gathered&) = delete;

  // All gradients have been added: their sums go to their owners. Collective over the workspace's world.
  void send_gradients();

 private:
  struct Unit {
    i64 number = 0;
    Tensor weights, gradients;
  };
  const Workspace& w_;
  std::optional<ArenaScope> memory_;
  std::vector<Unit> units_;
};

// For a rank that has nothing to compute with a unit that others use: it takes part in what they exchange.
inline void stand_by_forward(std::initializer_list<ParameterId> members, const Workspace& w) {
  const Gathered values(Gathered::Need::values, members, w);
}
inline void stand_by_backward(std::initializer_list<ParameterId> members, const Workspace& w) {
  Gathered(Gathered::Need::both, members, w).send_gradients();
}

}  // namespace longsight::model
