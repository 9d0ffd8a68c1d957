# shellcheck shell=bash
# Sourced by the other scripts. Lets mpirun start more ranks than there are cores, and start as root (containers).
# Open MPI refuses both without being told.
export OMPI_MCA_rmaps_base_oversubscribe=1
if ((EUID == 0)); then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
