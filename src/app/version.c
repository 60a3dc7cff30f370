// SPDX-License-Identifier: Apache-2.0
#include "app/version.h"

#include "base/build.h"
#include "base/cpu_isa.h"
#include "base/text.h"
#include "device/plugin.h"

#include <dnnl.h>
#include <hdf5.h>
#include <libconfig.h>
#include <mpi.h>
#include <string.h>

titan_status titan_version_print(FILE *file) {
  char mpi[MPI_MAX_LIBRARY_VERSION_STRING], chip[128];
  int length = 0;
  unsigned major = 0, minor = 0, release = 0;
  MPI_Get_library_version(mpi, &length);
  mpi[strcspn(mpi, ",\n")] = '\0';
  H5get_libversion(&major, &minor, &release);
  const dnnl_version_t *dnnl = dnnl_version();
  titan_cpu_model_name(chip, sizeof chip);
  titan_cpu_isa best = titan_cpu_isa_best(), chosen;
  TITAN_TRY(titan_cpu_isa_choose(&chosen));
  fprintf(file, "titan-hpc %s (%s, built with %s)\n", TITAN_VERSION, TITAN_BUILD_TYPE, TITAN_COMPILER);
  fprintf(file, "commit:    %s\n", titan_build_commit());
  fprintf(file, "MPI:       %s\n", mpi);
  fprintf(file, "HDF5:      %u.%u.%u\n", major, minor, release);
  fprintf(file, "oneDNN:    %d.%d.%d\n", dnnl->major, dnnl->minor, dnnl->patch);
  fprintf(file, "libconfig: %d.%d.%d\n", LIBCONFIG_VER_MAJOR, LIBCONFIG_VER_MINOR, LIBCONFIG_VER_REVISION);
  fprintf(file, "processor: %s\n", chip);
  fprintf(file, "CPU level: %s (the chip has %s; TITAN_CPU_ISA lowers it)\n", titan_cpu_isa_name(chosen),
          titan_cpu_isa_name(best));
  titan_text cuda = {0};
  TITAN_TRY(titan_plugin_describe(&cuda));
  fprintf(file, "CUDA:      %s\n", cuda.data);
  titan_text_destroy(&cuda);
  return titan_text_flush(file, "the version");
}
