# SPDX-License-Identifier: Apache-2.0
# A SLURM cluster of one node on this machine: munged, slurmctld and slurmd in a folder of their own, on loopback, on ports of
# their own. Sourced. As root, since slurmd starts jobs.

slurm_missing() {
  local program missing=()
  for program in munged mungekey slurmctld slurmd sbatch srun scontrol squeue scancel sinfo runuser; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || missing+=("$program")
  done
  [ "$(id -u)" = 0 ] || missing+=("root's rights")
  printf '%s' "${missing[*]}"
}

# Two ports that nobody listens on.
free_ports() {
  python3 -c 'import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in sockets])'
}

# slurm_start FOLDER CPUS: sets SLURM_CONF. The node has so many CPUs, whatever the machine has.
slurm_start() {
  local folder=$1 cpus=$2 ports name
  export PATH=$PATH:/usr/sbin
  name=$(hostname -s)
  mkdir -p "$folder/munge" "$folder/state" "$folder/spool"
  chmod 755 "$folder" "$folder/munge"
  mungekey -c -k "$folder/munge/key" || return
  chown -R munge: "$folder/munge"
  runuser -u munge -- munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
    --seed-file="$folder/munge/seed" --log-file="$folder/munge/log" || return
  read -ra ports <<<"$(free_ports)"
  cat >"$folder/slurm.conf" <<END
ClusterName=titan
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,default_queue_depth=100
SlurmdParameters=config_overrides
ReturnToService=2
JobCompType=jobcomp/none
KillWait=30
MessageTimeout=60
SlurmctldTimeout=300
SlurmdTimeout=300
NodeName=$name NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=all Nodes=$name Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
END
  export SLURM_CONF=$folder/slurm.conf
  slurmctld || return
  slurmd || return
  wait_until 60 slurm_is_up || { tail -n 5 "$folder"/slurm*.log; return 1; }
}

slurm_is_up() { sinfo -h -o %T 2>/dev/null | grep -qx 'idle\|mixed\|allocated'; }

slurm_stop() {
  local folder=$1 file
  scancel --user=root 2>/dev/null
  for file in slurmd.pid slurmctld.pid munge/pid; do
    [ -f "$folder/$file" ] && kill "$(cat "$folder/$file")" 2>/dev/null
  done
  sleep 1
}

# state_of JOB: PENDING, RUNNING, COMPLETED, FAILED, ...
state_of() { scontrol show job "$1" 2>/dev/null | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | head -n 1; }
exit_of() { scontrol show job "$1" 2>/dev/null | sed -n 's/.*ExitCode=\([0-9]*\):.*/\1/p' | head -n 1; }
restarts_of() { scontrol show job "$1" 2>/dev/null | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p' | head -n 1; }
has_ended() {
  case $(state_of "$1") in
  COMPLETED | CANCELLED | FAILED | TIMEOUT | NODE_FAIL | BOOT_FAIL | DEADLINE | OUT_OF_MEMORY) ;;
  *) return 1 ;;
  esac
}

# slurm_begin CPUS: a cluster in a folder of its own, $cluster, until the script ends; code 77 where SLURM is missing.
slurm_begin() {
  local missing
  missing=$(slurm_missing)
  if [ -n "$missing" ]; then
    echo "SKIPPED: this test needs $missing (Debian: apt-get install slurm-wlm munge)"
    exit 77
  fi
  cluster=$(mktemp -d)
  trap 'slurm_stop "$cluster"; rm -rf "$cluster"' EXIT
  slurm_start "$cluster" "$1" || { fail "no SLURM cluster"; finish; }
}
