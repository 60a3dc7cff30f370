// SPDX-License-Identifier: Apache-2.0
// What the programs with commands print for --help. help/ makes their manual pages and completions of the same texts,
// so each has this form: a paragraph "usage:" with one line for each command (options in square brackets, choices with
// bars, what stands for a value in capitals); then paragraphs, of which a line that begins with a word and two blanks
// explains that command, as do the indented lines below it.
#ifndef TITAN_APP_USAGE_H
#define TITAN_APP_USAGE_H

extern const char titan_checkpoint_usage[];
extern const char titan_tokenizer_usage[];
extern const char titan_corpus_usage[];
extern const char titan_report_usage[];

#endif
