// Time that passes, for figures and deadlines.
#pragma once

namespace longsight {

double steady_seconds();  // monotonic, from an arbitrary start; the same clock in all threads of a process

}  // namespace longsight
