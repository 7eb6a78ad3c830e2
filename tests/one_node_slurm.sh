#!/bin/sh
# A SLURM of one node from Debian's packages, and one small sweep on it, whose tables must be those
# of the same sweep without it. By hand, on Debian: the packages are unpacked below a folder that is
# deleted at the end, nothing is installed, and only loopback is used.
#
#     sh tests/one_node_slurm.sh [PYTHON]
#
# Last run on 2026-11-28 with slurm-wlm 22.05.8 of Debian 12: the same tables.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=${1:-$root/.venv/bin/python}
here=$(mktemp -d)
pids=
stop() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$here"
}
trap stop EXIT
trap 'exit 1' INT TERM

cd "$here"
chmod 755 .
wanted="slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libmunge2 libhwloc15"
apt-get download $wanted >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" unpacked; done
lib=$(dirname "$(find "$here/unpacked" -name auth_munge.so)")
export LD_LIBRARY_PATH="$lib:$(dirname "$lib")" SLURM_CONF="$here/slurm.conf"
export PATH="$here/unpacked/usr/bin:$here/unpacked/usr/sbin:$PATH"

mkdir -m 711 munge
mkdir state spool
head -c 1024 /dev/urandom > munge/key
chmod 400 munge/key
munged --foreground --force --socket="$here/munge/socket" --key-file="$here/munge/key" \
    --pid-file="$here/munge/pid" --log-file="$here/munge/log" --seed-file="$here/munge/seed" &
pids="$pids $!"

node=$(hostname -s)
cat > slurm.conf <<CONF
ClusterName=one
SlurmctldHost=$node(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/slurmd.pid
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool
PluginDir=$lib
AuthInfo=socket=$here/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=1
ReturnToService=2
MailProg=/bin/true
NodeName=$node NodeAddr=127.0.0.1 CPUs=2 RealMemory=6000 State=UNKNOWN
PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
slurmctld-wlm -D > ctld.log 2>&1 &
pids="$pids $!"
slurmd-wlm -D -d "$(command -v slurmstepd-wlm)" > slurmd.log 2>&1 &
pids="$pids $!"
for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then break; fi
    sleep 1
done
sinfo
if ! sinfo --noheader --format=%T | grep -q idle; then cat ctld.log slurmd.log; exit 1; fi

cat > orders.py <<'FILE'
"""Does SLURM give the same table?"""

from interp.lenses.analysis import LensAnalysis
from interp.sweeps.plans import SweepCell


def sweep():
    cells = [SweepCell(recipe="alias-toy", arguments={"word_order": o}) for o in ("tae", "ate")]
    return cells, [LensAnalysis(tuned=False)]
FILE
export PYTHONPATH="$root" OMP_NUM_THREADS=1
iml="$python -m interp.cli"
$iml sweep orders.py --smoke --seeds 2 --executor slurm --minutes 30 --out on-slurm
$iml sweep orders.py --smoke --seeds 2 --out here --workers 1
for table in cells metrics lens lens_summary; do
    cmp "on-slurm/$table.parquet" "here/$table.parquet"
done
echo "$(sbatch --version), one node: the same tables, $(date -I)"
