#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: the Debian package installs on a fresh Debian with the packages it names and nothing else; there a user who is not root trains
# the debug model on two ranks, verifies its checkpoint, makes a report and reads the man pages; after the removal nothing is left.
# Oracle: the exit codes, the log's steps, man, dpkg.
#
# Needs root, debootstrap and the network; a machine without them skips it, with a word. TITAN_PACKAGE_CHROOT names a folder that a run
# before has made, or where it is to stay.
#
# usage: package_chroot.sh BUILD
set -euo pipefail
build=$1
skip() {
  echo "SKIPPED: $*"
  exit 77
}
[ "$(id -u)" = 0 ] || skip "needs root"
for program in debootstrap cpack dpkg-deb dpkg-shlibdeps; do
  command -v $program >/dev/null || skip "needs $program (Debian: apt-get install debootstrap cmake dpkg-dev)"
done
unshare -m true || skip "no namespace of mounts can be made"
# The package belongs to the release that built it.
release=$(. /etc/os-release && echo "$ID $VERSION_CODENAME")
[ "${release% *}" = debian ] || skip "builds a package for ${release% *}, and makes a chroot of Debian"

packages=$(mktemp -d)
root=${TITAN_PACKAGE_CHROOT:-$packages/root}
trap 'rm -rf --one-file-system "$packages"' EXIT
chmod 755 "$packages" # it holds the root of another user too
(cd "$build" && cpack -G DEB -B "$packages") >"$packages/cpack.log" 2>&1 || { tail -n 5 "$packages/cpack.log"; exit 1; }
if [ ! -x "$root/usr/bin/apt-get" ]; then
  mkdir -p "$root"
  debootstrap --variant=minbase --include=ca-certificates "${release#* }" "$root" http://deb.debian.org/debian >"$packages/debootstrap.log" 2>&1 ||
    { tail -n 5 "$packages/debootstrap.log"; skip "debootstrap failed: no network?"; }
fi
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp "$packages"/titan-hpc_*.deb "$root/titan-hpc.deb"

cat >"$root/inside.sh" <<'SCRIPT'
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
fail() {
  echo "FAILED: $*"
  exit 1
}
# A minimal chroot leaves out documentation.
rm -f /etc/dpkg/dpkg.cfg.d/docker* /etc/dpkg/dpkg.cfg.d/*nodoc*
apt-get update -q >/dev/null
apt-get install -y -q man-db >/tmp/man.log 2>&1 || fail "man-db: $(tail -n 3 /tmp/man.log)"
apt-get purge -y -q titan-hpc >/dev/null 2>&1 || true # of a run before
apt-get install -y -q /titan-hpc.deb >/tmp/install.log 2>&1 || fail "apt-get install: $(tail -n 5 /tmp/install.log)"
id trainer >/dev/null 2>&1 || useradd --create-home trainer
cat >/home/trainer/job.sh <<'JOB'
set -euo pipefail
cd "$(mktemp -d)"
titan-hpc --version
OMP_NUM_THREADS=1 mpirun --oversubscribe -np 2 titan-hpc --job.config_file /usr/share/titan-hpc/configs/debug_model.toml \
  --training.steps 3 --training.seq_len 64 --training.batch_size 1 --checkpoint.enable_checkpoint --checkpoint.interval 3
titan-checkpoint verify outputs/checkpoint/step-3.h5
titan-report outputs -o report.html
man titan-hpc | grep -q -e '--training.seq_len'
man titan-checkpoint >/dev/null
titan-hpc --help checkpoint | grep -q interval
JOB
su trainer -c 'bash /home/trainer/job.sh' >/tmp/job.log 2>&1 || fail "the job: $(tail -n 20 /tmp/job.log)"
grep -q 'step:  3 ' /tmp/job.log || fail "no third step: $(tail -n 20 /tmp/job.log)"
grep -m 3 -e '^titan-hpc ' -e 'step:  3 ' /tmp/job.log
[ -s /usr/share/bash-completion/completions/titan-hpc ] || fail "no completion for bash"
apt-get purge -y -q titan-hpc >/tmp/purge.log 2>&1 || fail "apt-get purge: $(tail -n 3 /tmp/purge.log)"
left=$(find /usr /etc -path '*titan-hpc*' -print -quit)
[ -z "$left" ] || fail "left after the removal: $left"
echo "installed with apt-get on a fresh $(. /etc/os-release; echo "$PRETTY_NAME"), run by another user, and removed"
SCRIPT

# What is mounted goes with the namespace.
unshare -m bash -c '
  mount --make-rprivate /
  mount -t proc proc "$1/proc"
  mount --rbind /sys "$1/sys"
  mount --rbind /dev "$1/dev"
  exec chroot "$1" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root bash /inside.sh' chroot "$root"
