#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fills a folder with all that run.sh needs on a machine that has a GPU and nothing else: the programs, the plugin, tests and benchmarks,
# stripped; the libraries that they load, without those of glibc and CUDA; Open MPI with the plugins that ranks of one machine need; the
# test corpus and tokenizer. One archive, 64 MiB at most.
#
# usage: pack.sh [BUILD [FOLDER [PLUGIN]]]       build/release, .gpu, BUILD/libtitan_cuda.so
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${1:-$root/build/release} folder=${2:-$root/.gpu}
plugin=${3:-$build/libtitan_cuda.so}
most=$((64 << 20))
stage=$(mktemp -d "${TMPDIR:-/tmp}/titan-pack-XXXXXX")
trap 'rm -rf "$stage"' EXIT

end() {
  echo "pack.sh: $*" >&2
  exit 1
}

programs=(titan-hpc tests/conformance/gpu_conformance tests/gpu/gpu_attention tests/golden/llama/gpu_golden_llama
  tests/integration/compare_steps benchmarks/gpu/benchmark_gpu_kernels benchmarks/gpu/benchmark_gpu_step)
mkdir -p "$stage/bin/assets" "$stage/lib/titan-hpc" "$stage/lib/system" "$stage/openmpi" "$stage/share"
for program in "${programs[@]}"; do
  [ -x "$build/$program" ] || end "$build/$program is missing; build it with a CUDA toolkit and -DTITAN_TESTS=ON -DTITAN_BENCHMARKS=ON"
  cp "$build/$program" "$stage/bin/"
done
[ -f "$plugin" ] || end "there is no plugin $plugin"
cp "$plugin" "$stage/lib/titan-hpc/libtitan_cuda.so"
cp "$build/assets/test_tokenizer.model" "$build/assets/c4_test.jsonl.gz" "$stage/bin/assets/"
strip "$stage"/bin/* "$stage/lib/titan-hpc/libtitan_cuda.so" 2>/dev/null || true # not the folder

# Open MPI: its starter, and plugins but for networks, batch systems and checkpoints.
path_of() { ompi_info --path "$1" --parsable | sed 's/^path:[^:]*://'; }
plugins=$(path_of pkglibdir)
for tool in orterun orted; do
  cp "$(path_of bindir)/$tool" "$stage/bin/"
done
ln -s orterun "$stage/bin/mpirun"
for file in "$plugins"/mca_*.so; do
  case ${file##*/} in
  *ucx* | *ofi* | *openib* | *psm* | *slurm* | *gridengine* | *flux* | *jsm* | *memheap* | *spml* | *sshmem* | *scoll* | *netlink* | *monitoring*) ;;
  *) cp "$file" "$stage/openmpi/" ;;
  esac
done
[ -f "$stage/openmpi/mca_pml_ob1.so" ] || end "there are no plugins of Open MPI in $plugins"
cp -r "$(path_of pkgdatadir)" "$stage/share/openmpi"

# Libraries of all of these. Those in lib/system are used where the machine has none of the name.
for file in "$stage"/bin/* "$stage"/lib/titan-hpc/*.so "$stage"/openmpi/*.so; do
  [ -f "$file" ] && ldd "$file" 2>/dev/null
done | awk '/=> \//{print $3}' | sort -u | while read -r library; do
  case ${library##*/} in
  libc.so.* | libm.so.* | libdl.so.* | librt.so.* | libpthread.so.* | libresolv.so.* | libutil.so.*) ;; # glibc
  libcublas* | libcudnn* | libnccl* | libnvrtc* | libcudart* | libcuda.so*) ;;
  libstdc++.so.* | libgcc_s.so.* | libgomp.so.*) cp -L "$library" "$stage/lib/system/" ;;
  *) cp -L "$library" "$stage/lib/" ;;
  esac
done
[ -f "$stage/lib/libdnnl.so.2" ] || ls "$stage"/lib/libdnnl* >/dev/null 2>&1 || end "oneDNN is not among the libraries of $build/titan-hpc"

mkdir -p "$folder"
tar -C "$stage" -czf "$folder/payload.tar.gz" .
bytes=$(stat -c %s "$folder/payload.tar.gz")
[ "$bytes" -le $most ] || end "$folder/payload.tar.gz has $bytes bytes, $most at most"
echo "$folder/payload.tar.gz: $bytes bytes, $(find "$stage" -type f | wc -l) files"
