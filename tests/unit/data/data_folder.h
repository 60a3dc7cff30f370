// SPDX-License-Identifier: Apache-2.0
// What the tests of data share: a fresh folder, files of JSON lines in it, and a tokenizer of single bytes, whose ids
// can be told without it.
#ifndef TITAN_TESTS_DATA_FOLDER_H
#define TITAN_TESTS_DATA_FOLDER_H

#include "tokenizer/tokenizer.h"

enum { BYTES_BOS = 256, BYTES_EOS = 257 };

// Makes a folder; data_folder_path() names a file in it (one of eight buffers in turn).
void data_folder_make(void);
void data_folder_remove(void);
const char *data_folder_path(const char *name);

// Writes a file as it is; a name that ends in .gz is compressed.
void data_folder_write(const char *name, const char *bytes, size_t length);
// JSON lines of texts[first .. first+count-1] (letters, digits and blanks only).
void data_folder_write_texts(const char *name, char *const *texts, int first, int count);

// Token id = byte value.
titan_tokenizer *data_bytes_tokenizer(void);

#endif
