#!/bin/sh
# Starts a SLURM of one node from Debian's packages and runs one small sweep on it, twice: as it is,
# and on the cores of this machine, whose tables must be the same. By hand, as root, on a machine
# that is thrown away: it installs slurmctld, slurmd and munge, and writes /etc/slurm.
#
#     sh tests/one_node_slurm.sh [PYTHON]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=${1:-$root/.venv/bin/python}
here=$(mktemp -d)

DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge

node=$(hostname -s)
mkdir -p /etc/slurm /var/spool/slurmctld /var/spool/slurmd /run/munge /var/lib/munge /var/log/munge
[ -f /etc/munge/munge.key ] || mungekey --create
chown -R munge: /etc/munge /run/munge /var/lib/munge /var/log/munge
cat > /etc/slurm/slurm.conf <<CONF
ClusterName=one
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmctldPort=6817
SlurmdPort=6818
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobRequeue=1
ReturnToService=2
MailProg=/bin/true
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF

runuser -u munge -- munged
slurmctld
slurmd
trap 'pkill -x slurmd; pkill -x slurmctld; pkill -x munged; rm -rf "$here"' EXIT
for _ in $(seq 60); do
    sinfo -h -o %T | grep -q idle && break
    sleep 1
done
sinfo

cd "$here"
cat > orders.py <<'FILE'
"""Does SLURM give the same table?"""

from interp.lenses.analysis import LensAnalysis
from interp.sweeps.plans import SweepCell


def sweep():
    cells = [SweepCell(recipe="alias-toy", arguments={"word_order": o}) for o in ("tae", "ate")]
    return cells, [LensAnalysis(tuned=False)]
FILE
export PYTHONPATH="$root"
iml="$python -m interp.cli"
$iml sweep orders.py --smoke --seeds 2 --executor slurm --minutes 10 --out on-slurm
$iml sweep orders.py --smoke --seeds 2 --out here
for table in cells metrics lens lens_summary; do
    cmp "on-slurm/$table.parquet" "here/$table.parquet"
done
echo "SLURM $(sbatch --version): the same tables, $(date -I)"
