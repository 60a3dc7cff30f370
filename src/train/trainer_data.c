// SPDX-License-Identifier: Apache-2.0
// The corpus of a run: found once, the same on all ranks, and read by the loader.
#include "device/numbers.h"
#include "train/trainer_private.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

// Corpora of no more files are looked at by every rank; of larger ones the ranks of a node share the files.
enum { FILES_FOR_ALL = 64 };

// --- finding it ---

// The options that name a corpus.
typedef struct corpus_options {
  const char *section, *dataset, *dataset_path;
} corpus_options;

// A corpus that cannot be found is told with where its option came from.
static titan_status find_corpus(const titan_config *config, const corpus_options *options, titan_corpus **out) {
  titan_status status = titan_corpus_create_for(options->section, options->dataset, options->dataset_path, out);
  char option[48];
  snprintf(option, sizeof option, "%s.%s", options->section,
           options->dataset_path != NULL ? "dataset_path" : "dataset");
  if (status == TITAN_ERROR_USAGE)
    return titan_error(status, "%s (%s)", titan_error_message(), titan_config_origin(config, option));
  return status;
}

// One rank reads the folder: thousands that list and stat all files of a large corpus are a burden for its file system,
// and see different folders where one changes.
static titan_status share_corpus(titan_trainer *trainer, const corpus_options *options, titan_corpus **corpus) {
  titan_comm *world = titan_trainer_world(trainer);
  titan_text list = {0};
  titan_status status = TITAN_OK;
  if (trainer->rank == 0)
    status = find_corpus(trainer->env.config, options, corpus);
  if (status == TITAN_OK && trainer->rank == 0)
    status = titan_corpus_list(*corpus, &list);
  TITAN_TRY_CLEANUP(titan_comm_agree(world, status));
  TITAN_TRY_CLEANUP(titan_comm_broadcast_text(world, &list));
  if (trainer->rank != 0)
    status = titan_corpus_create_from_list(options->section, options->dataset, options->dataset_path, &list, corpus);
  TITAN_TRY_CLEANUP(titan_comm_agree(world, status));
cleanup:
  titan_text_destroy(&list);
  return status;
}

// --- the same for all ---

static const char *host_name(void) {
  static char name[256];
  if (gethostname(name, sizeof name - 1) != 0)
    strcpy(name, "unknown host");
  return name;
}

static titan_status add_host(titan_status status) {
  return status == TITAN_OK ? TITAN_OK : titan_error(status, "host %s: %s", host_name(), titan_error_message());
}

// digests[count] of this rank's files, zero for those that other ranks of the node look at.
static titan_status digest_files(const titan_trainer *trainer, const titan_corpus *corpus, int64_t count,
                                 uint64_t *digests) {
  int64_t step = count > FILES_FOR_ALL ? titan_comm_size(trainer->env.node) : 1;
  int64_t first = count > FILES_FOR_ALL ? titan_comm_rank(trainer->env.node) : 0;
  for (int64_t i = first; i < count; i += step)
    TITAN_TRY(titan_corpus_digest(corpus, i, &digests[i], NULL));
  return TITAN_OK;
}

static titan_status compare_digests(const titan_corpus *corpus, int64_t count, const uint64_t *mine,
                                    const uint64_t *theirs) {
  for (int64_t i = 0; i < count; i++) {
    if (mine[i] == theirs[i])
      continue;
    uint64_t digest;
    int64_t size = -1, expected = titan_corpus_file_size(corpus, i);
    TITAN_TRY(titan_corpus_digest(corpus, i, &digest, &size));
    char what[96] = "the same size, other bytes";
    if (size != expected)
      snprintf(what, sizeof what, "%" PRId64 " bytes on this host, %" PRId64 " on rank 0", size, expected);
    return titan_error(TITAN_ERROR_DATA,
                       "host %s: the corpus file %s differs from that of rank 0: %s; all ranks need the same corpus",
                       host_name(), titan_corpus_file(corpus, i), what);
  }
  return TITAN_OK;
}

// The digests of rank 0 are everybody's, and give the fingerprint that checkpoints keep.
static titan_status compare_corpus(titan_trainer *trainer, const titan_corpus *corpus, uint64_t *fingerprint) {
  titan_comm *world = titan_trainer_world(trainer);
  int64_t count = titan_corpus_file_count(corpus);
  uint64_t *mine = NULL, *theirs = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, (size_t)count, sizeof *mine, &mine);
  if (status == TITAN_OK)
    status = titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, (size_t)count, sizeof *theirs, &theirs);
  if (status == TITAN_OK)
    status = add_host(digest_files(trainer, corpus, count, mine));
  TITAN_TRY_CLEANUP(titan_comm_agree(world, status));
  if (count > FILES_FOR_ALL) // one rank of the node has each digest, and the others zero
    TITAN_TRY_CLEANUP(
        titan_comm_all_reduce(trainer->env.node, mine, mine, (size_t)count, TITAN_INT64, TITAN_SUM, NULL));
  memcpy(theirs, mine, (size_t)count * sizeof *theirs);
  TITAN_TRY_CLEANUP(titan_comm_broadcast(world, theirs, (size_t)count, TITAN_INT64, 0, NULL));
  TITAN_TRY_CLEANUP(titan_comm_agree(world, compare_digests(corpus, count, mine, theirs)));
  *fingerprint = titan_corpus_fingerprint(theirs, count);
cleanup:
  titan_memory_free(mine);
  titan_memory_free(theirs);
  return status;
}

// --- how its files begin ---

// *some: how many of this rank's files have a document. *first: the first that has none, or count.
static titan_status check_beginnings(const titan_trainer *trainer, const titan_corpus *corpus, int64_t count,
                                     int64_t *some, int64_t *first) {
  size_t limit = titan_setup_document_limit(trainer->env.config);
  *some = 0;
  *first = count;
  for (int64_t i = trainer->rank; i < count; i += titan_comm_size(titan_trainer_world(trainer))) {
    bool has = false;
    TITAN_TRY(titan_corpus_check_file(corpus, i, limit, &has));
    *some += has;
    if (!has && i < *first)
      *first = i;
  }
  return TITAN_OK;
}

// The ranks share the files.
static titan_status check_corpus(titan_trainer *trainer, const titan_corpus *corpus) {
  titan_comm *world = titan_trainer_world(trainer);
  int64_t count = titan_corpus_file_count(corpus), mine, some, my_first, first;
  TITAN_TRY(titan_comm_agree(world, check_beginnings(trainer, corpus, count, &mine, &my_first)));
  TITAN_TRY(titan_comm_all_reduce(world, &mine, &some, 1, TITAN_INT64, TITAN_SUM, NULL));
  TITAN_TRY(titan_comm_all_reduce(world, &my_first, &first, 1, TITAN_INT64, TITAN_MIN, NULL));
  titan_status status = TITAN_OK;
  if (some == 0)
    status = titan_error(TITAN_ERROR_DATA, "%s: the corpus %s is empty: it holds no document",
                         titan_corpus_option(corpus), titan_corpus_name(corpus));
  else if (some < count && trainer->rank == 0)
    titan_log_warning("%" PRId64 " of the %" PRId64 " corpus files hold no document; the first is %s", count - some,
                      count, titan_corpus_file(corpus, first));
  return titan_comm_agree(world, status);
}

static titan_status open_corpus(titan_trainer *trainer, const corpus_options *options, titan_corpus **corpus,
                                uint64_t *fingerprint) {
  TITAN_TRY(share_corpus(trainer, options, corpus));
  TITAN_TRY(compare_corpus(trainer, *corpus, fingerprint));
  return check_corpus(trainer, *corpus);
}

titan_status titan_trainer_open_corpus(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  corpus_options training = {"training", config->training.dataset, config->training.dataset_path};
  corpus_options validation = {"validation", config->validation.dataset, config->validation.dataset_path};
  uint64_t unused;
  TITAN_TRY(open_corpus(trainer, &training, &trainer->corpus, &trainer->corpus_fingerprint));
  return config->validation.enabled ? open_corpus(trainer, &validation, &trainer->validation_corpus, &unused)
                                    : TITAN_OK;
}

// --- reading it ---

static titan_status open_loader(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  int dp_rank = titan_comm_rank(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP));
  int64_t lanes = titan_trainer_lanes(trainer);
  titan_loader_options options = {
      .corpus = trainer->corpus,
      .tokenizer = trainer->env.tokenizer,
      .seq_len = config->training.seq_len,
      .global_batch = lanes * trainer->dp,
      .first_lane = lanes * dp_rank,
      .lane_count = lanes,
      .document_limit = titan_setup_document_limit(config),
      .quiet = trainer->rank != 0,
  };
  bool own = config->training.dataset_path != NULL;
  if (trainer->rank == 0)
    titan_log_info("Preparing %s dataset from %s", own ? "the" : config->training.dataset,
                   own ? titan_corpus_name(trainer->corpus) : titan_corpus_file(trainer->corpus, 0));
  return titan_loader_create(&options, &trainer->loader);
}

titan_status titan_trainer_open_loader(titan_trainer *trainer) {
  return titan_comm_agree(titan_trainer_world(trainer), open_loader(trainer));
}

// --- a step's tokens ---

static uint64_t hash_ids(uint64_t hash, const int32_t *ids, size_t count) {
  for (size_t i = 0; i < count; i++)
    hash = (hash ^ (uint32_t)ids[i]) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 32;
}

double titan_trainer_hash_batch(const titan_trainer *trainer, size_t count) {
  uint64_t hash = hash_ids(1, titan_runtime_tokens(trainer->runtime), count);
  hash = hash_ids(hash, titan_runtime_labels(trainer->runtime), count);
  return (double)(hash >> (64 - TITAN_NUMBERS_HASH_BITS));
}

titan_status titan_trainer_tokens_differ(const titan_trainer *trainer, int64_t step) {
  return titan_error(TITAN_ERROR_DATA,
                     "step %" PRId64 ": ranks that work on the same sequences (training.tensor_parallel_degree) read "
                     "different tokens from %s; the corpus is not the same on all nodes, or has changed during the "
                     "run; %s",
                     step, titan_corpus_name(trainer->corpus), titan_trainer_checkpoint_last(trainer));
}
