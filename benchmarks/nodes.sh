#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a program under Open MPI on nodes of one machine: network namespaces with host names of their own, joined by a bridge, each with a
# limited rate of sending. Ranks of a node exchange through shared memory, and ranks of different ones over TCP. Needs root, and ip and tc of
# iproute2; changes nothing outside of its own namespaces.
#
# usage: nodes.sh RATE NODES RANKS_PER_NODE PROGRAM [ARGUMENT...]     nodes.sh 1gbit 2 4 build/release/benchmarks/benchmark_levels 16
set -euo pipefail
if [ "${1:-}" = --on ]; then # what Open MPI calls for each node, with the command for it
  host=$2
  shift 2
  exec ip netns exec "$host" unshare -u bash -c "hostname $host; $*"
fi
[ $# -ge 4 ] || { sed -n 's/^# usage: //p' "$0" >&2; exit 2; }
self=$(realpath "$0")
[ -n "${NODES_INSIDE:-}" ] || NODES_INSIDE=1 exec unshare -nm bash "$self" "$@"
rate=$1 nodes=$2 ranks=$3
shift 3
mkdir -p /run/netns
mount -t tmpfs none /run/netns
names=$(mktemp)
trap 'rm -f "$names"' EXIT
{ cat /etc/hosts; echo "10.99.0.254 $(hostname)"; } >"$names"
mount --bind "$names" /etc/hosts
ip link set lo up
ip link add bridge0 type bridge
ip address add 10.99.0.254/24 dev bridge0
ip link set bridge0 up
hosts=
for node in $(seq "$nodes"); do
  name=node$node
  echo "10.99.0.$node $name" >>"$names"
  ip netns add "$name"
  ip link add "$name" type veth peer name eth0 netns "$name"
  ip link set "$name" master bridge0 up
  ip -n "$name" link set lo up
  ip -n "$name" address add "10.99.0.$node/24" dev eth0
  ip -n "$name" link set eth0 up
  ip netns exec "$name" tc qdisc add dev eth0 root tbf rate "$rate" burst 256kb latency 50ms
  hosts=$hosts${hosts:+,}$name:$ranks
done
mpirun --mca plm_rsh_agent "$self --on" --mca btl self,vader,tcp --mca btl_tcp_if_include 10.99.0.0/24 \
  --mca oob_tcp_if_include 10.99.0.0/24 --oversubscribe --bind-to none -H "$hosts" -np $((nodes * ranks)) "$@"
