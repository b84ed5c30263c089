#!/usr/bin/env bash
# Stops what up.sh started, by pid. With --purge, also removes the state and the config files.
set -u
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
BASE=${SLURM_BASE:-${TMPDIR:-/tmp}/slurm-test}
unset SLURM_CONF
alive() { local p; p=$(cat "$1" 2>/dev/null) && [ -n "$p" ] && grep -qs "^[0-9]* ($2) [^ZX] " "/proc/$p/stat"; }
if alive "$BASE/run/slurmctld.pid" slurmctld; then      # end the jobs first: slurmstepd outlives slurmd
  timeout 10 scancel --user=root 2>/dev/null
  for _ in $(seq 60); do [ -z "$(timeout 5 squeue -h -t R,CG 2>/dev/null)" ] && break; sleep 0.25; done
fi
for d in slurmd slurmctld slurmdbd mariadbd munged; do
  f=$BASE/run/$d.pid
  if alive "$f" "$d"; then      # a copy of the pid, as some daemons remove their pid file before they end
    cp "$f" "$f.stop"; kill "$(cat "$f.stop")"
    for _ in $(seq 300); do alive "$f.stop" "$d" || break; sleep 0.1; done
    if alive "$f.stop" "$d"; then echo "slurm-down: $d did not stop, killing it" >&2; kill -9 "$(cat "$f.stop")"; fi
    rm -f "$f.stop"
  fi
  rm -f "$f"
done
[ "${1:-}" != --purge ] || rm -rf "$BASE" /etc/slurm/slurm.conf /etc/slurm/gres.conf /etc/slurm/slurmdbd.conf
echo "slurm is down"
