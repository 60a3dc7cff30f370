# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # programs, work and dry are run.sh's
# Where run.sh's programs find their libraries. Python keeps the machine's own: PyTorch is built for those.

# The machine's Python, one with PyTorch if there is one.
GPU_PYTHON=''
for python in ${GPU_PYTHON_WANTED:-} python3 python /opt/*/bin/python3 /usr/local/bin/python3 "$HOME"/*/bin/python3; do
  command -v "$python" >/dev/null || continue
  GPU_PYTHON=${GPU_PYTHON:-$python}
  if [ -z "$dry" ] && "$python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' 2>/dev/null; then
    GPU_PYTHON=$python
    break
  fi
done

# Folders with libraries of CUDA: of the toolkit, and of Python's packages.
cuda_folders() {
  local site
  for site in /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib \
    $("${GPU_PYTHON:-true}" -c 'import site; print(*site.getsitepackages(), site.getusersitepackages())' 2>/dev/null); do
    [ -d "$site" ] && find -L "$site" -maxdepth 4 \( -name 'libcublasLt.so.*' -o -name 'libcudnn.so.*' -o -name 'libnccl.so.*' -o \
      -name 'libnvrtc.so.*' \) -printf '%h\n' 2>/dev/null
  done | awk '!seen[$0]++'
}

GPU_LIBRARIES=$programs/lib
mkdir -p "$work/system"
for library in "$programs"/lib/system/*; do
  ldconfig -p 2>/dev/null | grep -q "${library##*/} " || cp "$library" "$work/system/"
done
GPU_LIBRARIES=$GPU_LIBRARIES:$work/system
if [ -z "$dry" ]; then
  GPU_LIBRARIES=$GPU_LIBRARIES:$(cuda_folders | paste -sd:)
fi
export GPU_PYTHON GPU_LIBRARIES

# Open MPI from the archive: one machine, shared memory, no daemon for a rank alone.
export OPAL_PREFIX=$programs OPAL_PKGDATADIR=$programs/share/openmpi PMIX_INSTALL_PREFIX=$programs
export OMPI_MCA_mca_base_component_path=$programs/openmpi OMPI_MCA_plm=isolated OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_pml=ob1 \
  OMPI_MCA_btl=self,vader OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_btl_base_warn_component_unused=0 \
  PMIX_MCA_pcompress_base_silence_warning=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
unset TITAN_CUDA_PLUGIN SLURM_JOB_END_TIME
