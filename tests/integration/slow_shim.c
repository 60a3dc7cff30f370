// SPDX-License-Identifier: Apache-2.0
// Preloaded into a run: one rank computes slowly, is stopped, or has a slow link. By variables of the environment:
// SLOW_RANK=rank      each product of this rank takes 30 times as long, and 50 ms more
// SLOW_LINK=rank      a message of 1 MiB from this rank to the next one takes a second more
// STOPPED_RANK=rank   this rank stops itself (SIGSTOP) in its third product
#include <dlfcn.h>
#include <dnnl.h>
#include <mpi.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int this_rank(void) {
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  return rank != NULL ? atoi(rank) : 0;
}

static int is_this_rank(const char *name) {
  const char *wanted = getenv(name);
  return wanted != NULL && atoi(wanted) == this_rank();
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void wait_for(double duration) {
  struct timespec left = {(time_t)duration, (long)((duration - (double)(time_t)duration) * 1e9)};
  nanosleep(&left, NULL);
}

static void product_begins(void) {
  static int products;
  if (is_this_rank("STOPPED_RANK") && ++products == 3)
    kill(getpid(), SIGSTOP);
}

static void product_ended(double begun) {
  if (is_this_rank("SLOW_RANK"))
    wait_for(0.05 + 30 * (seconds() - begun));
}

dnnl_status_t dnnl_primitive_execute(const_dnnl_primitive_t primitive, dnnl_stream_t stream, int count,
                                     const dnnl_exec_arg_t *arguments) {
  dnnl_status_t (*real)(const_dnnl_primitive_t, dnnl_stream_t, int, const dnnl_exec_arg_t *) = (dnnl_status_t(*)(
      const_dnnl_primitive_t, dnnl_stream_t, int, const dnnl_exec_arg_t *))dlsym(RTLD_NEXT, "dnnl_primitive_execute");
  product_begins();
  double begun = seconds();
  dnnl_status_t status = real(primitive, stream, count, arguments);
  product_ended(begun);
  return status;
}

dnnl_status_t dnnl_sgemm(char transpose_a, char transpose_b, dnnl_dim_t m, dnnl_dim_t n, dnnl_dim_t k, float alpha,
                         const float *a, dnnl_dim_t lda, const float *b, dnnl_dim_t ldb, float beta, float *c,
                         dnnl_dim_t ldc) {
  dnnl_status_t (*real)(char, char, dnnl_dim_t, dnnl_dim_t, dnnl_dim_t, float, const float *, dnnl_dim_t, const float *,
                        dnnl_dim_t, float, float *, dnnl_dim_t) =
      (dnnl_status_t(*)(char, char, dnnl_dim_t, dnnl_dim_t, dnnl_dim_t, float, const float *, dnnl_dim_t, const float *,
                        dnnl_dim_t, float, float *, dnnl_dim_t))dlsym(RTLD_NEXT, "dnnl_sgemm");
  product_begins();
  double begun = seconds();
  dnnl_status_t status = real(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  product_ended(begun);
  return status;
}

int MPI_Isend(const void *from, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request) {
  int size = 0, ranks = 0;
  MPI_Comm_size(comm, &ranks);
  MPI_Type_size(type, &size);
  if (is_this_rank("SLOW_LINK") && to == (this_rank() + 1) % ranks && (long long)size * count == 1 << 20)
    wait_for(1);
  return PMPI_Isend(from, count, type, to, tag, comm, request);
}
