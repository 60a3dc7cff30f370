-- SPDX-License-Identifier: Apache-2.0
-- Lmod, a cluster with GPUs: what a site adds to the file that `cmake --install` wrote. The compiler, MPI, CUDA and NCCL of the build are loaded
-- first, and with them the libraries that a device plugin needs. Names and versions are the site's.
help([[titan-hpc with the site's MPI, CUDA and NCCL.]])
whatis("Name: titan-hpc")
whatis("Description: pre-training of Llama models with MPI")

local root = "/apps/titan-hpc/0.1.0"
conflict("titan-hpc")
depends_on("gcc/13")
depends_on("openmpi/5.0-cuda")
depends_on("hdf5/1.14-openmpi")
depends_on("cuda/12.4")
depends_on("nccl/2.21")
prepend_path("PATH", pathJoin(root, "bin"))
setenv("TITAN_HPC_ROOT", root)
setenv("TITAN_HPC_CONFIGS", pathJoin(root, "share/titan-hpc/configs"))
setenv("TITAN_HPC_JOBSCRIPTS", pathJoin(root, "share/titan-hpc/jobscripts"))
-- srun starts the ranks here with PMIx; the batch scripts take it over.
setenv("TITAN_SRUN_FLAGS", "--mpi=pmix")
