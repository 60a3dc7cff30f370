// SPDX-License-Identifier: Apache-2.0
// Writes docs/options.md into the file named by the only argument.
#include "config/config.h"

int main(int argc, char **argv) {
  FILE *file = argc == 2 ? fopen(argv[1], "w") : NULL;
  if (file == NULL) {
    fprintf(stderr, "usage: write_options_doc FILE (which must be writable)\n");
    return 2;
  }
  titan_status status = titan_config_print_markdown(file);
  if (fclose(file) != 0 && status == TITAN_OK)
    status = titan_error(TITAN_ERROR_OUTPUT, "cannot write %s", argv[1]);
  if (status != TITAN_OK)
    fprintf(stderr, "%s\n", titan_error_message());
  return titan_status_exit_code(status);
}
