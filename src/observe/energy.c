// SPDX-License-Identifier: Apache-2.0
// See the kernel's Documentation/power/powercap/powercap.rst: intel-rapl:N is package N, intel-rapl:N:M a part of it.
#include "observe/energy.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdint.h>
#include <stdio.h>

enum { MOST_PACKAGES = 64 };

typedef struct package {
  titan_text path; // of the counter
  uint64_t range;  // of the counter: the largest value, in microjoule
  uint64_t last;
} package;

struct titan_energy {
  int count;
  double joule;
  package packages[MOST_PACKAGES];
};

static bool read_number(const char *path, uint64_t *value) {
  unsigned long long number;
  FILE *file = fopen(path, "r");
  bool found = file != NULL && fscanf(file, "%llu", &number) == 1;
  if (file != NULL)
    fclose(file);
  if (found)
    *value = number;
  return found;
}

static titan_status add_package(titan_energy *energy, const char *folder, int number, bool *found) {
  package *p = &energy->packages[energy->count];
  titan_text range = {0};
  titan_status status = titan_text_printf(&range, "%s/intel-rapl:%d/max_energy_range_uj", folder, number);
  if (status == TITAN_OK)
    status = titan_text_printf(&p->path, "%s/intel-rapl:%d/energy_uj", folder, number);
  *found = status == TITAN_OK && read_number(range.data, &p->range) && read_number(p->path.data, &p->last);
  if (*found)
    energy->count++;
  else
    titan_text_destroy(&p->path);
  titan_text_destroy(&range);
  return status;
}

titan_status titan_energy_create(const char *folder, titan_energy **out) {
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, 1, sizeof **out, out));
  titan_status status = TITAN_OK;
  bool found = true;
  for (int number = 0; number < MOST_PACKAGES && found && status == TITAN_OK; number++)
    status = add_package(*out, folder, number, &found);
  if (status != TITAN_OK || (*out)->count == 0)
    titan_energy_destroy(out);
  return status;
}

double titan_energy_joule(titan_energy *energy) {
  if (energy == NULL)
    return 0;
  for (int i = 0; i < energy->count; i++) {
    package *p = &energy->packages[i];
    uint64_t now;
    if (!read_number(p->path.data, &now))
      continue;
    energy->joule += 1e-6 * (double)(now >= p->last ? now - p->last : now + p->range - p->last);
    p->last = now;
  }
  return energy->joule;
}

void titan_energy_destroy(titan_energy **energy) {
  if (*energy == NULL)
    return;
  for (int i = 0; i < (*energy)->count; i++)
    titan_text_destroy(&(*energy)->packages[i].path);
  titan_memory_free(*energy);
  *energy = NULL;
}
