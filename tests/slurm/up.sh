#!/usr/bin/env bash
# Brings up a real one-node SLURM cluster (Debian 12: slurm 22.05, munge, slurmdbd, MariaDB)
# by plain daemons, no systemd. Run as root; safe to run again (keeps what is already up).
#   SLURM_BASE      state, logs, pid files, database    (default a slurm-test folder in the temporary directory)
#   SLURM_NODE_CPUS CPUs the node claims                (default: nproc, at least 4; may exceed the real ones)
#   SLURM_NODE_GPUS make-believe GPUs of the node, for jobs that ask for some (default 2; 0: none)
#   SLURM_ACCT      1: slurmdbd+MariaDB, sacct works; 0: accounting_storage/none   (default 1)
# Stop it with down.sh (same SLURM_BASE).
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
BASE=${SLURM_BASE:-${TMPDIR:-/tmp}/slurm-test}
ACCT=${SLURM_ACCT:-1}
NODE=$(hostname -s)
CPUS=${SLURM_NODE_CPUS:-$(( $(nproc) > 4 ? $(nproc) : 4 ))}
GPUS=${SLURM_NODE_GPUS:-2}
MEM=$(( $(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024 * 9 / 10 ))
SOCK=$BASE/run/mysql.sock
unset SLURM_CONF          # everything uses the packaged default, /etc/slurm/slurm.conf

say() { echo "slurm-up: $*"; }
die() { echo "slurm-up: FAILED: $*" >&2; tail -n 15 "$BASE"/log/*.log >&2 2>/dev/null || true; exit 1; }
alive() { # alive PIDFILE NAME: the pid in PIDFILE is a live process (no zombie) called NAME
  local p; p=$(cat "$1" 2>/dev/null) && [ -n "$p" ] && grep -qs "^[0-9]* ($2) [^ZX] " "/proc/$p/stat"; }
wait_for() { # wait_for SECONDS WHAT COMMAND...
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || die "$what not ready"; sleep 0.2; done; }

[ ${#SOCK} -lt 100 ] || { echo "slurm-up: SLURM_BASE is too long for a socket's path" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "slurm-up: must be root" >&2; exit 1; }
mkdir -p "$BASE"/{run,log,state,spool}; chmod 755 "$BASE" "$BASE"/*
exec 9>"$BASE/run/lock"; flock 9          # one at a time; daemons get 9>&- so that none keeps the lock

# ---- packages -------------------------------------------------------------------------------
want="slurmctld slurmd slurm-client munge"
[ "$ACCT" = 0 ] || want="$want slurmdbd mariadb-server"
missing=$(for p in $want; do dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed' || echo "$p"; done)
if [ -n "$missing" ]; then
  say "installing" $missing
  policy=; if [ ! -e /usr/sbin/policy-rc.d ]; then   # no service may start by itself
    policy=1; printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; fi
  ok=1; { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } \
    >"$BASE/log/apt.log" 2>&1 9>&- </dev/null || ok=
  [ -z "$policy" ] || rm -f /usr/sbin/policy-rc.d
  [ -n "$ok" ] || die "apt-get install $missing"
fi
getent hosts "$NODE" >/dev/null || echo "127.0.0.1 $NODE" >>/etc/hosts
# with NoInAddrAny the daemons listen on what the host name resolves to, so only where that is loopback
case $(getent ahostsv4 "$NODE" | awk 'NR==1 {print $1}') in 127.*) inaddr="NoInAddrAny,";; *) inaddr=;; esac

# ---- configuration --------------------------------------------------------------------------
put() { # put FILE MODE: stdin becomes FILE when it differs; marks the configuration as changed
  local t; t=$(mktemp); cat >"$t"
  if ! cmp -s "$t" "$1"; then install -m "$2" "$t" "$1"; changed=1; fi; chmod "$2" "$1"; rm -f "$t"; }
changed=
if [ "$ACCT" = 0 ]; then acct="AccountingStorageType=accounting_storage/none"
else acct="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=6819"; fi
gres= nodegres=
if [ "$GPUS" != 0 ]; then   # null devices stand in for real ones (SLURM wants a device); SLURM sets CUDA_VISIBLE_DEVICES from them
  mkdir -p "$BASE/dev"; for i in $(seq 0 $((GPUS - 1))); do [ -c "$BASE/dev/gpu$i" ] || mknod -m 666 "$BASE/dev/gpu$i" c 1 3; done
  gres=GresTypes=gpu nodegres="Gres=gpu:$GPUS"
fi
mkdir -p /etc/slurm
put /etc/slurm/gres.conf 644 <<CONF
# written by up.sh
${gres:+NodeName=$NODE Name=gpu File=$BASE/dev/gpu[0-$((GPUS - 1))]}
CONF
put /etc/slurm/slurm.conf 644 <<CONF
# written by up.sh
ClusterName=test
SlurmctldHost=$NODE(127.0.0.1)
SlurmctldPort=6817
SlurmdPort=6818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# a requeued job may start again only after cred_expire (default 120 s)
AuthInfo=cred_expire=5
CommunicationParameters=${inaddr}NoCtldInAddrAny
$acct
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
MinJobAge=600
KillWait=5
UnkillableStepTimeout=60
MessageTimeout=10
SlurmctldTimeout=300
SlurmdTimeout=300
InactiveLimit=0
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
$gres
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
StateSaveLocation=$BASE/state
SlurmdSpoolDir=$BASE/spool
SlurmctldPidFile=$BASE/run/slurmctld.pid
SlurmdPidFile=$BASE/run/slurmd.pid
SlurmctldLogFile=$BASE/log/slurmctld.log
SlurmdLogFile=$BASE/log/slurmd.log
SlurmctldDebug=info
SlurmdDebug=info
NodeName=$NODE NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=$MEM $nodegres State=UNKNOWN
PartitionName=debug Nodes=$NODE Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes=$NODE Default=NO MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
CONF
if [ "$ACCT" != 0 ]; then put /etc/slurm/slurmdbd.conf 600 <<CONF
# written by up.sh
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=6819
${inaddr:+CommunicationParameters=${inaddr%,}}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
LogFile=$BASE/log/slurmdbd.log
PidFile=$BASE/run/slurmdbd.pid
DebugLevel=info
CONF
fi

# ---- daemons --------------------------------------------------------------------------------
if ! munge -n 2>/dev/null | unmunge >/dev/null 2>&1; then
  install -d -o munge -g munge -m 755 /run/munge
  install -d -o munge -g munge -m 711 /var/lib/munge
  install -d -o munge -g munge -m 700 /var/log/munge /etc/munge
  [ -s /etc/munge/munge.key ] || runuser -u munge -- mungekey --create --keyfile /etc/munge/munge.key
  runuser -u munge -- /usr/sbin/munged --force 9>&- >"$BASE/log/munged.log" 2>&1 </dev/null
  wait_for 20 munged sh -c 'munge -n | unmunge'
  cp /run/munge/munged.pid "$BASE/run/munged.pid"
fi

if [ "$ACCT" != 0 ]; then
  if ! alive "$BASE/run/mariadbd.pid" mariadbd; then
    rm -f "$BASE/run/mariadbd.pid" "$SOCK"
    if [ ! -e "$BASE/mysql/.installed" ]; then
      rm -rf "$BASE/mysql"; mkdir -m 700 "$BASE/mysql"
      mariadb-install-db --no-defaults --user=root --datadir="$BASE/mysql" --skip-test-db \
        --auth-root-authentication-method=socket >"$BASE/log/mariadb-install.log" 2>&1 9>&- </dev/null || die mariadb-install-db
      touch "$BASE/mysql/.installed"
    fi
    setsid mariadbd --no-defaults --user=root --datadir="$BASE/mysql" --socket="$SOCK" --skip-networking \
      --pid-file="$BASE/run/mariadbd.pid" --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 \
      --innodb-use-native-aio=0 --innodb-flush-log-at-trx-commit=2 >"$BASE/log/mariadbd.log" 2>&1 9>&- </dev/null &
    wait_for 60 mariadbd mariadb-admin --no-defaults --socket="$SOCK" ping
  fi
  if ! alive "$BASE/run/slurmdbd.pid" slurmdbd; then
    MYSQL_UNIX_PORT=$SOCK slurmdbd 9>&- </dev/null || die slurmdbd
    wait_for 60 slurmdbd sacctmgr -n show cluster
  fi
  # the cluster must be known to slurmdbd before slurmctld first connects
  [ -n "$(sacctmgr -nP show cluster test format=cluster)" ] || sacctmgr -Qi add cluster test >/dev/null || die "sacctmgr add cluster"
fi

# slurmctld and slurmd take most settings only at a start; running jobs live through a restart of both
# (but are requeued from scratch where the count of CPUs changed)
if [ -n "$changed" ]; then for d in slurmd slurmctld; do
  if alive "$BASE/run/$d.pid" "$d"; then
    cp "$BASE/run/$d.pid" "$BASE/run/$d.pid.stop"; kill "$(cat "$BASE/run/$d.pid.stop")"
    while alive "$BASE/run/$d.pid.stop" "$d"; do sleep 0.1; done; rm -f "$BASE/run/$d.pid" "$BASE/run/$d.pid.stop"
  fi
done; fi
alive "$BASE/run/slurmctld.pid" slurmctld || slurmctld 9>&- </dev/null || die slurmctld
alive "$BASE/run/slurmd.pid" slurmd       || slurmd    9>&- </dev/null || die slurmd
wait_for 60 slurmctld sh -c 'scontrol ping | grep -q "is UP"'
up() {   # a node left drained or down by an earlier life is resumed
  case $(sinfo -h -n "$NODE" -o %T | head -n 1) in
    idle|mixed|allocated|completing) return 0;;
    down*|drain*) scontrol update nodename="$NODE" state=resume; return 1;;
    *) return 1;; esac; }
wait_for 60 "node $NODE" up
sinfo
echo "slurm is up"
