// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer_export.h"

#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

// --- tokens as text ---

// The character that stands for a byte: itself where it can be printed, else the next free one from 256 on (Radford et
// al., GPT-2, bytes_to_unicode).
static int character_of(int byte) {
  if (byte < '!')
    return 256 + byte;
  if (byte > '~' && byte < 0xa1)
    return 256 + '!' + (byte - 0x7f);
  return byte == 0xad ? 256 + '!' + (0xa1 - 0x7f) : byte;
}

static titan_status append_bytes(const char *bytes, size_t length, titan_text *text) {
  for (size_t i = 0; i < length; i++) {
    int character = character_of((unsigned char)bytes[i]);
    char utf8[3] = {(char)character};
    size_t size = 1;
    if (character == '"' || character == '\\') {
      utf8[0] = '\\';
      utf8[1] = (char)character;
      size = 2;
    } else if (character >= 128) {
      utf8[0] = (char)(0xc0 | character >> 6);
      utf8[1] = (char)(0x80 | (character & 0x3f));
      size = 2;
    }
    TITAN_TRY(titan_text_append(text, utf8, size));
  }
  return TITAN_OK;
}

static titan_status append_token(const titan_tokenizer *tokenizer, size_t rank, titan_text *text) {
  return append_bytes(titan_byte_strings_get(&tokenizer->tokens, rank),
                      titan_byte_strings_length(&tokenizer->tokens, rank), text);
}

// A text of ASCII within quotes.
static titan_status append_quoted(const char *value, titan_text *text) {
  for (; *value != '\0'; value++)
    TITAN_TRY(titan_text_printf(text, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value));
  return TITAN_OK;
}

// --- the parts of tokenizer.json ---

static titan_status append_special_tokens(const titan_tokenizer *tokenizer, titan_text *text) {
  for (int i = 0; i < TITAN_TOKENIZER_SPECIAL_COUNT; i++) {
    char name[40];
    titan_tokenizer_special_name(i, name);
    TITAN_TRY(titan_text_printf(text,
                                "%s\n    {\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, "
                                "\"rstrip\": false, \"normalized\": false, \"special\": true}",
                                i > 0 ? "," : "", (int)titan_tokenizer_base_size(tokenizer) + i, name));
  }
  return TITAN_OK;
}

static titan_status append_splitting(const titan_tokenizer *tokenizer, titan_text *text) {
  char begin[40];
  titan_tokenizer_special_name(0, begin);
  TITAN_TRY(titan_text_printf(text, "  \"normalizer\": null,\n"
                                    "  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n"
                                    "    {\"type\": \"Split\", \"pattern\": {\"Regex\": \""));
  TITAN_TRY(append_quoted(TITAN_SPLIT_PATTERN, text));
  return titan_text_printf(
      text,
      "\"}, \"behavior\": \"Isolated\", \"invert\": false},\n"
      "    {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]},\n"
      "  \"post_processor\": {\"type\": \"TemplateProcessing\",\n"
      "    \"single\": [{\"SpecialToken\": {\"id\": \"%s\", \"type_id\": 0}}, "
      "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}],\n"
      "    \"pair\": [{\"SpecialToken\": {\"id\": \"%s\", \"type_id\": 0}}, "
      "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
      "{\"SpecialToken\": {\"id\": \"%s\", \"type_id\": 1}}, {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}],\n"
      "    \"special_tokens\": {\"%s\": {\"id\": \"%s\", \"ids\": [%d], \"tokens\": [\"%s\"]}}},\n"
      "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": "
      "true},\n",
      begin, begin, begin, begin, begin, (int)titan_tokenizer_bos(tokenizer), begin);
}

static titan_status append_vocabulary(const titan_tokenizer *tokenizer, titan_text *text) {
  for (size_t rank = 0; rank < tokenizer->tokens.count; rank++) {
    TITAN_TRY(titan_text_printf(text, "%s\n      \"", rank > 0 ? "," : ""));
    TITAN_TRY(append_token(tokenizer, rank, text));
    TITAN_TRY(titan_text_printf(text, "\": %zu", rank));
  }
  return TITAN_OK;
}

typedef struct merge {
  int32_t left, right;
} merge;

static int compare_merges(const void *a, const void *b) {
  const merge *x = a, *y = b;
  return x->left != y->left ? (x->left < y->left ? -1 : 1) : (x->right > y->right) - (x->right < y->right);
}

// Every pair of tokens that makes the token, of which byte-pair merging may meet any.
static titan_status append_merges_of(const titan_tokenizer *tokenizer, size_t rank, merge *merges, bool *any,
                                     titan_text *text) {
  const unsigned char *bytes = (const unsigned char *)titan_byte_strings_get(&tokenizer->tokens, rank);
  size_t length = titan_byte_strings_length(&tokenizer->tokens, rank), count = 0;
  for (size_t cut = 1; cut < length; cut++) {
    merge pair = {titan_tokenizer_rank(tokenizer, bytes, cut),
                  titan_tokenizer_rank(tokenizer, bytes + cut, length - cut)};
    if (pair.left != TITAN_TOKENIZER_NO_RANK && pair.right != TITAN_TOKENIZER_NO_RANK)
      merges[count++] = pair;
  }
  qsort(merges, count, sizeof *merges, compare_merges);
  for (size_t i = 0; i < count; i++, *any = true) {
    TITAN_TRY(titan_text_printf(text, "%s\n      \"", *any ? "," : ""));
    TITAN_TRY(append_token(tokenizer, (size_t)merges[i].left, text));
    TITAN_TRY(titan_text_append(text, " ", 1));
    TITAN_TRY(append_token(tokenizer, (size_t)merges[i].right, text));
    TITAN_TRY(titan_text_append(text, "\"", 1));
  }
  return TITAN_OK;
}

static titan_status append_merges(const titan_tokenizer *tokenizer, titan_text *text) {
  merge *merges = NULL;
  bool any = false;
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, tokenizer->tokens.longest * sizeof *merges, &merges));
  for (size_t rank = 0; rank < tokenizer->tokens.count && status == TITAN_OK; rank++)
    status = append_merges_of(tokenizer, rank, merges, &any, text);
  titan_memory_free(merges);
  return status;
}

// --- the files ---

titan_status titan_tokenizer_to_json(const titan_tokenizer *tokenizer, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
                                    "  \"added_tokens\": ["));
  TITAN_TRY(append_special_tokens(tokenizer, text));
  TITAN_TRY(titan_text_printf(text, "],\n"));
  TITAN_TRY(append_splitting(tokenizer, text));
  TITAN_TRY(titan_text_printf(text, "  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                                    "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": "
                                    "false, \"byte_fallback\": false, \"ignore_merges\": true,\n    \"vocab\": {"));
  TITAN_TRY(append_vocabulary(tokenizer, text));
  TITAN_TRY(titan_text_printf(text, "},\n    \"merges\": ["));
  TITAN_TRY(append_merges(tokenizer, text));
  return titan_text_printf(text, "]}\n}\n");
}

titan_status titan_tokenizer_config_to_json(const titan_tokenizer *tokenizer, int64_t length, titan_text *text) {
  char begin[40], end[40];
  int32_t base = titan_tokenizer_base_size(tokenizer);
  titan_tokenizer_special_name(titan_tokenizer_bos(tokenizer) - base, begin);
  titan_tokenizer_special_name(titan_tokenizer_eos(tokenizer) - base, end);
  return titan_text_printf(text,
                           "{\n  \"bos_token\": \"%s\",\n  \"eos_token\": \"%s\",\n"
                           "  \"clean_up_tokenization_spaces\": false,\n"
                           "  \"model_input_names\": [\"input_ids\", \"attention_mask\"],\n"
                           "  \"model_max_length\": %lld,\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\"\n}\n",
                           begin, end, (long long)length);
}
