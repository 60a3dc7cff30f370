// SPDX-License-Identifier: Apache-2.0
// Property: NCCL itself, as it is installed, opens without a driver, tells its version and has the functions that
// groups use (cuda/nccl_functions.def); the newest ones from 2.27 on. Oracle: the library. Skipped where there is none.
//
// usage: test_cuda_nccl_library PATH
#include "base/memory.h"
#include "cuda/nccl_library.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NEWEST_FUNCTIONS = NCCL_VERSION(2, 27, 0) };

static void the_installed_library_has_all_functions(void **state) {
  (void)state;
  const titan_nccl_library *nccl = NULL;
  char version[32];
  titan_status status = titan_nccl_library_open(&nccl);
  if (status != TITAN_OK)
    fail_msg("%s", titan_error_message());
  titan_nccl_version_text(nccl->version, version, sizeof version);
  printf("NCCL %s\n", version);
  assert_true(nccl->version >= TITAN_NCCL_OLDEST);
#define FUNCTION(name) assert_non_null(nccl->name);
#define LATER(name)                                                                                                    \
  if (nccl->version >= NEWEST_FUNCTIONS)                                                                               \
    assert_non_null(nccl->name);
#include "cuda/nccl_functions.def"
#undef FUNCTION
#undef LATER
  assert_string_equal(getenv("NCCL_LAUNCH_ORDER_IMPLICIT"), "1");
}

int main(int argc, char **argv) {
  if (argc < 2 || strstr(argv[1], "NOTFOUND") != NULL) {
    printf("there is no libnccl.so.2 with the toolkit\n");
    return 77;
  }
  setenv("TITAN_NCCL_LIBRARY", argv[1], 1);
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_installed_library_has_all_functions)};
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
