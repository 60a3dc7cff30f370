// SPDX-License-Identifier: Apache-2.0
#include "data_folder.h"

#include "base/text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char folder[64];

static void expect(int fine, const char *what) {
  if (!fine) {
    perror(what);
    abort();
  }
}

void data_folder_make(void) {
  strcpy(folder, "/tmp/titan-data-XXXXXX");
  expect(mkdtemp(folder) != NULL, "mkdtemp");
}

static void remove_tree(const char *path) {
  DIR *entries = opendir(path);
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    titan_text below = {0};
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    expect(titan_text_printf(&below, "%s/%s", path, entry->d_name) == TITAN_OK, "memory");
    if (unlink(below.data) != 0)
      remove_tree(below.data);
    titan_text_destroy(&below);
  }
  if (entries != NULL)
    closedir(entries);
  rmdir(path);
}

void data_folder_remove(void) {
  remove_tree(folder);
}

const char *data_folder_path(const char *name) {
  static char paths[8][400];
  static int turn;
  char *path = paths[turn++ % 8];
  snprintf(path, sizeof paths[0], "%s%s%s", folder, name[0] != '\0' ? "/" : "", name);
  return path;
}

void data_folder_write(const char *name, const char *bytes, size_t length) {
  const char *path = data_folder_path(name);
  int compressed = strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".gz") == 0;
  gzFile file = gzopen(path, compressed ? "wb" : "wbT");
  expect(file != NULL, path);
  expect(length == 0 || gzwrite(file, bytes, (unsigned)length) == (int)length, path);
  expect(gzclose(file) == Z_OK, path);
}

void data_folder_write_texts(const char *name, char *const *texts, int first, int count) {
  titan_text lines = {0};
  for (int i = first; i < first + count; i++)
    expect(titan_text_printf(&lines, "{\"text\": \"%s\", \"url\": \"u%d\"}\n", texts[i], i) == TITAN_OK, "memory");
  data_folder_write(name, lines.data, lines.length);
  titan_text_destroy(&lines);
}

titan_tokenizer *data_bytes_tokenizer(void) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  titan_text model = {0};
  titan_tokenizer *tokenizer = NULL;
  for (int i = 0; i < 256; i++)
    expect(titan_text_printf(&model, "%c%c== %d\n", digits[i >> 2], digits[(i & 3) << 4], i) == TITAN_OK, "memory");
  titan_status status = titan_tokenizer_create(model.data, model.length, "bytes.model", &tokenizer);
  if (status != TITAN_OK)
    fprintf(stderr, "%s\n", titan_error_message());
  expect(status == TITAN_OK, "tokenizer");
  titan_text_destroy(&model);
  return tokenizer;
}
