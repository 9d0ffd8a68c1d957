#!/usr/bin/env bash
# Trains under a real Slurm with a limit of a minute: the job is signalled, stops behind a checkpoint, is queued again and goes
# on, until it is done. Its weights must be those of an uninterrupted run of as many ranks.
# usage: scripts/check_slurm.sh [FOLDER]     LONGSIGHT_LAUNCHER=mpirun: as launch/slurm.sbatch
#   STEPS=12000 (about three launches)
set -euo pipefail
cd "$(dirname "$0")/.."
command -v sbatch >/dev/null || { echo "check_slurm: no sbatch here" >&2; exit 66; }
folder=${1:-$(mktemp -d)}
export OMP_NUM_THREADS=1
run=(configs/tiny.yaml "train.steps=${STEPS:-12000}" train.tokens_per_step=200 "data.eval=[]" train.optimizer.schedule=constant)

job=$(sbatch --parsable --nodes=2 --ntasks-per-node=1 --time=1:00 --signal=B:USR1@20 --output="$folder/job.log" \
  launch/slurm.sbatch "${run[@]}" "output.dir=$folder/slurm")
echo "check_slurm: job $job, log in $folder/job.log"
while state=$(squeue -h -j "$job" -o %T 2>/dev/null) && [[ -n $state ]]; do
  # What is queued again waits for two minutes, which nobody needs here; but slurmd has to have forgotten the launch before.
  if [[ $state == PENDING ]]; then sleep 10; scontrol update "jobid=$job" starttime=now 2>/dev/null || true; fi
  sleep 2
done
grep "^slurm:" "$folder/job.log"
launches=$(grep -c "^slurm: job" "$folder/job.log")

mpirun -n 2 --bind-to none build/host/longsight train "${run[@]}" "output.dir=$folder/alone" >"$folder/alone.log" 2>&1
if ! cmp "$folder/slurm/model/model.safetensors" "$folder/alone/model/model.safetensors"; then
  echo "check_slurm: the weights differ" >&2
  exit 70
fi
echo "check_slurm: $launches launches, the weights are those of an uninterrupted run"
