// SPDX-License-Identifier: Apache-2.0
// Files that are installed with the program: the small corpora and the test tokenizer.
#ifndef TITAN_DATA_ASSETS_H
#define TITAN_DATA_ASSETS_H

#include "base/text.h"

// Replaces the contents of `path` by the path of the asset `name` ("c4_test.jsonl.gz", "test_tokenizer.model"). Looked
// for in the folder that the environment variable TITAN_ASSETS names, where it is set; otherwise in assets/ beside the
// running program (a build tree), in ../share/titan-hpc/assets/ (an installation), and in assets/ up to three folders
// above (the programs of tests). TITAN_ERROR_USAGE, with the places, when it is in none.
titan_status titan_assets_find(const char *name, titan_text *path);

#endif
