// SPDX-License-Identifier: Apache-2.0
// What metrics.h5 holds, as any other tool would read it: through plain HDF5 calls, by names.
//
//   metrics_rows rows FILE            a line a row, its columns in the order of row_names
//   metrics_rows validations FILE     the same for validations
//   metrics_rows ranks FILE           the same for single ranks
//   metrics_rows attribute FILE NAME  the text of an attribute of the file
//
// Exit status: 0, 1 (with a message), 2 usage.
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const row_names[] = {"step",    "loss",       "loss_max", "grad_norm",    "lr",
                                        "tokens",  "seconds",    "tps",      "mfu",          "memory",
                                        "elapsed", "node_hours", "tflops",   "time_left",    "data_loading",
                                        "exposed", "busy_mean",  "busy_max", "slowest_rank", "memory_max"};
static const char *const rank_names[] = {"rank_step", "rank_number",  "rank_loss_max",     "rank_seconds",
                                         "rank_busy", "rank_exposed", "rank_data_loading", "rank_memory"};
static const char *const validation_names[] = {"validation_step", "validation_loss", "validation_tokens"};
enum { COLUMNS = sizeof row_names / sizeof *row_names, MOST_ROWS = 100000 };
enum { VALIDATION_COLUMNS = sizeof validation_names / sizeof *validation_names };
enum { RANK_COLUMNS = sizeof rank_names / sizeof *rank_names };

static int print_rows(hid_t file, const char *const *names, int columns) {
  static double values[COLUMNS][MOST_ROWS];
  hssize_t rows = -1;
  for (int i = 0; i < columns; i++) {
    hid_t dataset = H5Dopen2(file, names[i], H5P_DEFAULT), space = H5Dget_space(dataset);
    hssize_t length = H5Sget_simple_extent_npoints(space);
    rows = rows < 0 || length < rows ? length : rows;
    if (length < 0 || length > MOST_ROWS ||
        H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values[i]) < 0) {
      fprintf(stderr, "cannot read /%s\n", names[i]);
      return 1;
    }
    H5Sclose(space);
    H5Dclose(dataset);
  }
  for (hssize_t row = 0; row < rows; row++)
    for (int i = 0; i < columns; i++)
      printf("%.17g%s", values[i][row], i + 1 < columns ? " " : "\n");
  return 0;
}

static int print_attribute(hid_t file, const char *name) {
  hid_t attribute = H5Aopen(file, name, H5P_DEFAULT), type = H5Aget_type(attribute);
  size_t bytes = H5Tget_size(type);
  char *text = calloc(bytes + 1, 1);
  int bad = attribute < 0 || text == NULL || H5Aread(attribute, type, text) < 0;
  if (!bad)
    puts(text);
  free(text);
  H5Tclose(type);
  H5Aclose(attribute);
  return bad;
}

int main(int argc, char **argv) {
  int rows = argc == 3 && strcmp(argv[1], "rows") == 0, attribute = argc == 4 && strcmp(argv[1], "attribute") == 0;
  int validations = argc == 3 && strcmp(argv[1], "validations") == 0;
  int ranks = argc == 3 && strcmp(argv[1], "ranks") == 0;
  if (!rows && !validations && !ranks && !attribute) {
    fputs("usage: metrics_rows rows FILE | validations FILE | ranks FILE | attribute FILE NAME\n", stderr);
    return 2;
  }
  hid_t file = H5Fopen(argv[2], H5F_ACC_RDONLY, H5P_DEFAULT);
  int bad = file < 0 || (rows          ? print_rows(file, row_names, COLUMNS)
                         : ranks       ? print_rows(file, rank_names, RANK_COLUMNS)
                         : validations ? print_rows(file, validation_names, VALIDATION_COLUMNS)
                                       : print_attribute(file, argv[3]));
  if (file >= 0)
    H5Fclose(file);
  return bad;
}
