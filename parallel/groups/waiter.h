// How a rank waits for its peers: asleep, so that the processor is free for a thread that has work, be it of
// another job. MPI's own blocking calls poll without end.
#pragma once

#include <functional>

#include "runtime/base/number.h"

namespace longsight::parallel {

// Calls `arrived` until it is true. The first polls follow each other at once, as most waits are short; then
// the thread sleeps between them, ever longer: by a fixed part of what it has waited already, so that a wait
// takes little longer than it must, up to a millisecond. A poll that took the processor some time has moved
// data: the peer is there, and the polls follow each other at once again. `messages`: how many `arrived`
// looks at.
void wait_until(const std::function<bool()>& arrived, std::size_t messages);

}  // namespace longsight::parallel
