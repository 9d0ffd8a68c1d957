// What the threads of this process are in, as the system sees it: no signal interrupts them.
#pragma once

#include <string>

namespace longsight::launch {

// A line of JSON: {"threads": [{"name", "state", "waits_in"}]}; state as in proc(5): R runs, S sleeps, D
// waits for a disk or a network file system, T is stopped; waits_in: a function of the kernel, empty where it
// is not told.
std::string threads_text();

}  // namespace longsight::launch
