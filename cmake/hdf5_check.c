// SPDX-License-Identifier: Apache-2.0
// Run by CMake when it configures: makes a file through this HDF5 and this MPI. Ends with 0 when they fit each other.
#include <hdf5.h>
#include <mpi.h>

#ifndef H5_HAVE_PARALLEL
#error HDF5 is built without MPI
#endif

int main(int argc, char **argv) {
  if (argc != 2 || MPI_Init(&argc, &argv) != MPI_SUCCESS)
    return 1;
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL) < 0)
    return 2;
  hid_t file = H5Fcreate(argv[1], H5F_ACC_TRUNC, H5P_DEFAULT, access);
  if (file < 0 || H5Fclose(file) < 0)
    return 3;
  H5Pclose(access);
  return MPI_Finalize() == MPI_SUCCESS ? 0 : 4;
}
