// SPDX-License-Identifier: Apache-2.0
// A configuration file of either form. Property: any bytes are a configuration or TITAN_ERROR_USAGE with a message; one
// that was read is written as TOML, which gives the same text when it is read in turn; it can be checked, whatever the
// number of ranks.
#ifndef TITAN_TESTS_FUZZ_CONFIG_H
#define TITAN_TESTS_FUZZ_CONFIG_H

#include "fuzz.h"

#include "config/config.h"

#include <string.h>

static inline titan_config *fuzz_config_read(const char *path) {
  const char *const arguments[] = {"titan-hpc", "--job.config_file", path};
  titan_config *config = NULL;
  titan_status status = titan_config_create(3, arguments, &config);
  FUZZ_REQUIRE(status == TITAN_OK ||
               (status == TITAN_ERROR_USAGE && config == NULL && titan_error_message()[0] != '\0'));
  return config;
}

static inline void fuzz_config_ignore(void *context, const char *line) {
  *(size_t *)context += strlen(line);
}

static inline void fuzz_config_check(const titan_config *config) {
  size_t bytes = 0;
  for (int64_t ranks = 1; ranks < 10; ranks += 7) {
    titan_status status = titan_config_validate(config, ranks);
    FUZZ_REQUIRE(status == TITAN_OK || status == TITAN_ERROR_USAGE);
  }
  FUZZ_REQUIRE(titan_config_warnings(config, fuzz_config_ignore, &bytes) == TITAN_OK);
}

// What other ranks get is the same configuration.
static inline void fuzz_config_send(const titan_config *config, const titan_text *expected) {
  titan_config *copy;
  titan_text sent = {0}, toml = {0};
  FUZZ_REQUIRE(titan_config_serialize(config, &sent) == TITAN_OK);
  FUZZ_REQUIRE(titan_config_deserialize(sent.data, &copy) == TITAN_OK);
  FUZZ_REQUIRE(titan_config_to_toml(copy, &toml) == TITAN_OK);
  FUZZ_REQUIRE(strcmp(toml.data, expected->data) == 0);
  titan_config_destroy(&copy);
  titan_text_destroy(&sent);
  titan_text_destroy(&toml);
}

static inline int fuzz_config(const char *extension, const uint8_t *data, size_t size) {
  uint64_t live = fuzz_live();
  titan_config *config = fuzz_config_read(fuzz_file(extension, data, size));
  if (config != NULL) {
    titan_text toml = {0};
    fuzz_config_check(config);
    FUZZ_REQUIRE(titan_config_to_toml(config, &toml) == TITAN_OK);
    fuzz_config_send(config, &toml);
    titan_text_destroy(&toml);
  }
  titan_config_destroy(&config);
  fuzz_require_no_leak(live);
  return 0;
}

#endif
