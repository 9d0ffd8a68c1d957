#!/usr/bin/env bash
# Trains on several ranks, of one machine or of those of a host file, and starts again what was killed.
#   launch/run.sh -n 4 configs/emoji.yaml
#   launch/run.sh -n 16 --hosts hosts.txt --supervise configs/emoji.yaml train.steps=5000
# SIGUSR1, SIGTERM and Ctrl-C are passed on to the ranks, which stop behind a checkpoint (exit code 75). mpirun itself would
# end them a second after a SIGTERM.
set -uo pipefail

usage() {
  cat <<'EOF'
usage: launch/run.sh [-n RANKS] [--hosts FILE] [--supervise] [--launcher mpirun|srun] [--threads N] CONFIG [--force] [key=value ...]
  -n RANKS      processes that train (default: one for each processor of this machine; srun: as the job has tasks)
  --hosts FILE  machines to use, as mpirun reads them: a line "NAME slots=RANKS" for each
  --supervise   start again after a hang, a crash or a kill (74, 134, 137, 139), or when somebody else has stopped the run (75);
                give up after three launches in a row that left no later checkpoint behind
  --launcher    mpirun (default), or srun within a Slurm job
  --threads N   of each rank (default: its share of the processors)
The binary is build/host/longsight of this folder, or $LONGSIGHT_BINARY. Exit code: that of the last launch.
EOF
}

root=$(cd "$(dirname "$0")/.." && pwd)
binary=${LONGSIGHT_BINARY:-$root/build/host/longsight}
ranks="" hosts="" launcher=mpirun supervise=false
while (($#)); do
  case "$1" in
    -n) ranks=${2:?-n needs a number}; shift ;;
    --hosts) hosts=${2:?--hosts needs a file}; shift ;;
    --supervise) supervise=true ;;
    --launcher) launcher=${2:?--launcher needs a name}; shift ;;
    --threads) export OMP_NUM_THREADS=${2:?--threads needs a number}; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) echo "run: unknown option '$1'" >&2; usage >&2; exit 64 ;;
    *) break ;;
  esac
  shift
done
(($#)) || { usage >&2; exit 64; }
[[ -x $binary ]] || { echo "run: no $binary: cmake --build --preset host, or name it in LONGSIGHT_BINARY" >&2; exit 66; }

case "$launcher" in
  mpirun)
    # shellcheck source=scripts/mpi_environment.sh
    source "$root/scripts/mpi_environment.sh"
    ranks=${ranks:-$(nproc)}
    # A rank shares out what its affinity mask leaves it: without a host file each gets processors of its own, if there are enough.
    bind=(--bind-to none)
    if [[ -z $hosts ]] && ((ranks > 1 && ranks <= $(nproc))); then
      bind=(--use-hwthread-cpus --map-by "slot:PE=$(($(nproc) / ranks))" --bind-to hwthread)
    fi
    command=(mpirun -n "$ranks" "${bind[@]}" ${hosts:+--hostfile "$hosts"} ${OMP_NUM_THREADS:+-x OMP_NUM_THREADS})
    ;;
  srun)
    command=(srun --mpi=pmix ${ranks:+--ntasks="$ranks"} --kill-on-bad-exit=1)
    ;;
  *) echo "run: --launcher $launcher: mpirun or srun" >&2; exit 64 ;;
esac
# One rank alone needs no MPI.
if [[ $launcher == mpirun && $ranks == 1 && -z $hosts ]]; then command=(); fi

# The step of the newest checkpoint; -1: none.
progress() { "$binary" train --status "$@" 2>/dev/null | sed -n 's/.*"checkpoint":\(-\{0,1\}[0-9]*\).*/\1/p'; }

asked=false interrupted=false job=""
ask() {
  asked=true interrupted=true
  [[ -z $job ]] || kill -USR1 "$job" 2>/dev/null
}
trap ask USR1 TERM INT

# Ends a launcher that outlives all it has started: Open MPI's mpirun can wait for ever if a rank dies while it connects.
watch() { # watch PID
  local pid=$1 started=false idle=0 child
  while sleep 1 && kill -0 "$pid" 2>/dev/null; do
    idle=$((idle + 1))
    for child in $(cat "/proc/$pid"/task/*/children 2>/dev/null); do
      # What has ended, but was not waited for, is in state Z.
      if [[ $(sed 's/.*) //' "/proc/$child/stat" 2>/dev/null) == [^Z]* ]]; then started=true idle=0; fi
    done
    if $started && ((idle >= 5)); then
      echo "run: all ranks have ended but ${command[0]} has not: ending it" >&2
      kill -KILL "$pid" 2>/dev/null
    fi
  done
}

launch() { # launch ARGUMENTS: sets `code`
  # A session of its own: Ctrl-C reaches the ranks through `ask` alone. Until they listen a signal is not deadly, but lost.
  (trap '' USR1; exec setsid "${command[@]}" "$binary" train "$@") &
  job=$!
  local watcher=""
  if ((${#command[@]})); then
    watch "$job" &
    watcher=$!
  fi
  code=127
  while true; do
    interrupted=false
    wait "$job"
    local status=$?
    # A trapped signal ends `wait`, not the job: its code is that of the last wait, or of the one before where that says
    # that it has been waited for (127).
    ((status == 127)) || code=$status
    $interrupted || break
    sleep 1
    kill -USR1 "$job" 2>/dev/null # once more: it may not have listened yet
  done
  job=""
  [[ -z $watcher ]] || kill "$watcher" 2>/dev/null
}

idle=0
best=$($supervise && progress "$@")
best=${best:--1}
while true; do
  launch "$@"
  $supervise && ! $asked || exit "$code"
  case "$code" in
    74 | 75 | 134 | 137 | 139) ;;
    *) exit "$code" ;;
  esac
  now=$(progress "$@")
  now=${now:--1}
  if ((now > best)); then idle=0 best=$now; else idle=$((idle + 1)); fi
  if ((idle >= 3)); then
    echo "run: three launches ended with no checkpoint behind step $best (the last with exit code $code): giving up" >&2
    exit "$code"
  fi
  echo "run: ended with exit code $code, the newest checkpoint is that of step $now: starting again" >&2
done
