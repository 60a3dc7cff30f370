// SPDX-License-Identifier: Apache-2.0
// For tests of several ranks: an expectation fails on all ranks together, so that none is left waiting in a collective.
#ifndef TITAN_TESTS_MPI_TEST_H
#define TITAN_TESTS_MPI_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "comm/bootstrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Collective over all ranks.
static inline void expect_on_all_at(int condition, const char *text, const char *file, int line) {
  int rank = 0, all = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (!condition)
    fprintf(stderr, "%s:%d: rank %d: not so: %s (%s)\n", file, line, rank, text, titan_error_message());
  MPI_Allreduce(&condition, &all, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
  if (!all)
    _fail(file, line);
}

#define expect_on_all(condition) expect_on_all_at((condition) ? 1 : 0, #condition, __FILE__, __LINE__)

static inline int test_rank(void) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

static inline int test_size(void) {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

// One rank is late, another one each round, so that whoever does not wait for it finds what was there before. An
// expect_on_all beside the operation under test would wait too, and hide that: collect results, and agree once at the
// end.
static inline void one_rank_is_late(int round) {
  if (round % test_size() == test_rank())
    usleep(10000);
}

// Begins MPI; call before cmocka_run_group_tests. Exits where that fails.
static inline void begin_mpi_tests(int *argc, char ***argv) {
  titan_mpi facts;
  if (titan_mpi_initialize(argc, argv, &facts) != TITAN_OK) {
    fprintf(stderr, "%s\n", titan_error_message());
    exit(1);
  }
}

// Ends MPI; returns the exit status: `failures` and allocations that are left make it 1.
static inline int end_mpi_tests(int failures) {
  titan_mpi_finalize();
  return failures != 0 || titan_memory_report_leaks() != 0;
}

#endif
