#include "comm/bootstrap.h"
#include "comm/mpi_error.h"

const char *titan_mpi_thread_level_name(int level) {
  if (level == MPI_THREAD_MULTIPLE)
    return "multiple";
  if (level == MPI_THREAD_SERIALIZED)
    return "serialized";
  return level == MPI_THREAD_FUNNELED ? "funneled" : "single";
}

titan_status titan_mpi_initialize(int *argc, char ***argv, titan_mpi *out) {
  int initialized = 0;
  *out = (titan_mpi){0};
  TITAN_TRY_MPI(MPI_Initialized(&initialized));
  if (!initialized)
    TITAN_TRY_MPI(MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &out->thread_level));
  TITAN_TRY_MPI(MPI_Query_thread(&out->thread_level));
  TITAN_TRY_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  TITAN_TRY_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &out->rank));
  TITAN_TRY_MPI(MPI_Comm_size(MPI_COMM_WORLD, &out->size));
  if (out->thread_level < MPI_THREAD_FUNNELED)
    return titan_error(TITAN_ERROR_COMMUNICATION,
                       "the MPI library grants thread level \"%s\", but this program needs \"funneled\" for its OpenMP "
                       "threads and the loader's thread",
                       titan_mpi_thread_level_name(out->thread_level));
  return TITAN_OK;
}

void titan_mpi_finalize(void) {
  int initialized = 0, finalized = 0;
  if (MPI_Initialized(&initialized) == MPI_SUCCESS && initialized && MPI_Finalized(&finalized) == MPI_SUCCESS &&
      !finalized)
    MPI_Finalize();
}
