# SPDX-License-Identifier: Apache-2.0
# Spack recipe of titan-hpc. Put it into a repository of your own, and build the source that you have:
#
#   spack repo create ~/titan-repo titan
#   mkdir -p ~/titan-repo/packages/titan-hpc && cp packaging/spack/package.py ~/titan-repo/packages/titan-hpc
#   spack repo add ~/titan-repo
#   cd titan-hpc && spack dev-build titan-hpc@0.1.0
#
# Where `spack repo create` makes another layout (Spack 1), the folder is ~/titan-repo/spack_repo/titan/packages/titan_hpc.
try:  # Spack 1 has the build systems in a repository of their own.
    from spack_repo.builtin.build_systems.cmake import CMakePackage
except ImportError:
    pass

from spack.package import *


class TitanHpc(CMakePackage):
    """Pre-training of Llama models under MPI, on clusters of CPUs: data, tensor and pipeline parallelism in one C program."""

    license("Apache-2.0")

    version("0.1.0")

    variant("tests", default=False, description="Build the tests")
    variant("benchmarks", default=False, description="Build the benchmarks")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconf", type="build")
    depends_on("mpi")
    depends_on("hdf5+mpi")
    depends_on("libconfig")
    depends_on("tomlplusplus")
    depends_on("onednn@2:3")
    depends_on("zlib-api")
    depends_on("xxhash")
    depends_on("jansson")
    depends_on("hwloc")
    depends_on("protobuf-c")
    depends_on("cmocka", when="+tests")
    depends_on("pcre2", when="+tests")

    generator("ninja")

    def cmake_args(self):
        return [
            self.define_from_variant("TITAN_TESTS", "tests"),
            self.define_from_variant("TITAN_BENCHMARKS", "benchmarks"),
            # A login node may refuse to start MPI programs.
            self.define("TITAN_RUN_CHECKS", False),
        ]

    def setup_run_environment(self, env):
        data = join_path(self.prefix.share, "titan-hpc")
        env.set("TITAN_HPC_ROOT", self.prefix)
        env.set("TITAN_HPC_CONFIGS", join_path(data, "configs"))
        env.set("TITAN_HPC_JOBSCRIPTS", join_path(data, "jobscripts"))
