#%Module1.0
# SPDX-License-Identifier: Apache-2.0
# Environment Modules, a laptop or workstation: nothing to load first, and ranks may outnumber the cores.
proc ModulesHelp { } {
    puts stderr {titan-hpc on this machine: mpirun -np 2 titan-hpc --job.config_file $TITAN_HPC_CONFIGS/debug_model.toml}
}
module-whatis {titan-hpc: pre-training of Llama models with MPI}

set root $env(HOME)/titan-hpc
conflict titan-hpc
prepend-path PATH $root/bin
setenv TITAN_HPC_ROOT $root
setenv TITAN_HPC_CONFIGS $root/share/titan-hpc/configs
setenv TITAN_HPC_JOBSCRIPTS $root/share/titan-hpc/jobscripts
setenv OMPI_MCA_rmaps_base_oversubscribe 1
