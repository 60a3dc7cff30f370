#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: on a fresh Debian 12 that has git and nothing else, the commands of README.md in their order set up, build, train, install and
# load the module, and another user runs what was installed, with four libraries that lie in a private prefix only. Oracle: readme.sh,
# which runs there; the packages of their headers are not installed in the system.
#
# Needs root, debootstrap and the network; a machine without them skips it, with a word. TITAN_CHROOT names a folder that a run before
# has made, or where it is to stay.
#
# usage: chroot.sh SOURCE
set -euo pipefail
source=$1
libraries="libconfig9 libxxhash0 libjansson4 libdnnl2" headers="libconfig-dev libxxhash-dev libjansson-dev libdnnl-dev"
skip() {
  echo "SKIPPED: $*"
  exit 77
}
[ "$(id -u)" = 0 ] || skip "needs root"
command -v debootstrap >/dev/null || skip "needs debootstrap"
unshare -m true || skip "no namespace of mounts can be made"

root=${TITAN_CHROOT:-}
if [ -z "$root" ]; then
  root=$(mktemp -d)
  trap 'rm -rf --one-file-system "$root"' EXIT
  chmod 755 "$root" # it is the root of another user too
fi
if [ ! -x "$root/usr/bin/git" ]; then
  echo "==> debootstrap"
  mkdir -p "$root"
  debootstrap --variant=minbase --include=git,ca-certificates bookworm "$root" http://deb.debian.org/debian >"$root.log" 2>&1 ||
    { tail -n 5 "$root.log"; skip "debootstrap failed: no network?"; }
fi
cp /etc/resolv.conf /etc/hosts "$root/etc/"
rm -rf "$root/source"
git -c safe.directory='*' clone -q --bare "$source" "$root/source"
cp "$(dirname "$0")/readme.sh" "$root/readme.sh"

# The libraries from their packages, unpacked into a prefix that only this build is told of.
cat >"$root/inside.sh" <<SCRIPT
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
unpacked=\$(mktemp -d) prefix=/opt/private
chmod 777 \$unpacked # apt-get downloads as another user
rm -rf \$prefix
mkdir -p \$prefix/include \$prefix/lib
apt-get update -q >/dev/null
cd \$unpacked
apt-get download -q $libraries $headers >/dev/null
for package in *.deb; do dpkg -x \$package .; done
cp -a usr/include/* \$prefix/include/
cp -a usr/lib/*-linux-gnu/* \$prefix/lib/
sed -i -e "s|^prefix=.*|prefix=\$prefix|" -e 's|lib/[a-z0-9_]*-linux-gnu|lib|' \$prefix/lib/pkgconfig/*.pc
for tool in cc cmake mpirun pkg-config; do
  if command -v \$tool >/dev/null; then echo "not fresh: \$tool is there"; [ -n "${TITAN_CHROOT:-}" ] || exit 1; fi
done
TITAN_PRIVATE_PREFIX=\$prefix bash /readme.sh /source
for package in $headers; do
  if dpkg -s \$package >/dev/null 2>&1; then echo "FAILED: \$package was installed, although it lies in \$prefix"; exit 1; fi
done
echo "a fresh \$(. /etc/os-release; echo "\$PRETTY_NAME") with \$(dpkg-query -f . -W | wc -c) packages, \$(nproc) cores"
SCRIPT

# What is mounted goes with the namespace.
exec 3>&1
unshare -m bash -c '
  mount --make-rprivate /
  mount -t proc proc "$1/proc"
  mount --rbind /sys "$1/sys"
  mount --rbind /dev "$1/dev"
  exec chroot "$1" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    ${TITAN_JOBS:+TITAN_JOBS=$TITAN_JOBS} bash /inside.sh' chroot "$root"
