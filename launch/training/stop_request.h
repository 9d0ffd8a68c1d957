// A run is asked to stop by a signal: SIGUSR1 (Slurm, a supervisor), SIGTERM (a scheduler) or SIGINT (a
// person). A thread of its own waits for them. They must never interrupt a thread that computes: oneDNN's
// matrix products move the stack pointer into a buffer of their own, and the frame of a handler would
// overwrite the heap before that buffer (oneDNN issue 4845; mended in releases later than Debian's).
#pragma once

namespace longsight::launch {

// From now on these signals wait instead of ending the process. First of all, before there is a second
// thread: those made later inherit it, as does a program that this one executes in its place.
void hold_stop_signals();
// Starts the thread that notes them. The third SIGINT ends the process.
void listen_for_stop();
bool stop_requested();
// Whether a signal that comes, or has come, ends this process at once, with ExitCode::stopped; the launcher
// then ends the other ranks. For a run that has nothing to save yet.
void end_at_once_when_stopped(bool at_once);
// How often SIGTERM came, which a launcher also sends to the ranks that are left of a job it ends.
int terminations();

}  // namespace longsight::launch
