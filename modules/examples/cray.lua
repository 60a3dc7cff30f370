-- SPDX-License-Identifier: Apache-2.0
-- Lmod, a Cray with MPICH: titan-hpc built with PrgEnv-gnu, `CC=cc CXX=CC` and cray-hdf5-parallel. Names and versions are the site's.
help([[titan-hpc with cray-mpich and cray-hdf5-parallel.]])
whatis("Name: titan-hpc")
whatis("Description: pre-training of Llama models with MPI")

local root = "/apps/titan-hpc/0.1.0"
conflict("titan-hpc")
depends_on("PrgEnv-gnu")
depends_on("cray-mpich")
depends_on("cray-hdf5-parallel")
prepend_path("PATH", pathJoin(root, "bin"))
setenv("TITAN_HPC_ROOT", root)
setenv("TITAN_HPC_CONFIGS", pathJoin(root, "share/titan-hpc/configs"))
setenv("TITAN_HPC_JOBSCRIPTS", pathJoin(root, "share/titan-hpc/jobscripts"))
-- srun starts the ranks with Cray's own PMI, without --mpi.
setenv("TITAN_SRUN_FLAGS", "")
