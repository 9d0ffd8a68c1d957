// What the parts of a pass work with: memory, the stack of frames, the group, the stream. Passed down, never
// found.
#pragma once

#include "parallel/groups/process_group.h"
#include "runtime/tensor/arena.h"
#include "runtime/tensor/frames.h"

namespace longsight::parallel {

struct Workspace {
  Arena& saved;    // what backward needs
  Arena& scratch;  // rewound by every function that takes from it
  Frames& frames;
  ProcessGroup& group;  // the ranks that share the sequences
  Stream stream;
  ProcessGroup* world = nullptr;  // those that parameters are dealt over; null where they are not
  // [1], f64; where there is one, it gets the squares of this rank's own gradients, which are gone once they
  // have been sent to their owners.
  Tensor own_squares = {};
};

}  // namespace longsight::parallel
