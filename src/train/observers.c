// SPDX-License-Identifier: Apache-2.0
#include "train/observer.h"

#include "base/log.h"

#include <pthread.h>
#include <string.h>

#define TITAN_OBSERVER(name) extern const titan_observer titan_observer_##name;
#include "train/observers.def"
#undef TITAN_OBSERVER

static const titan_observer *const table[] = {
#define TITAN_OBSERVER(name) &titan_observer_##name,
#include "train/observers.def"
#undef TITAN_OBSERVER
};

enum { OBSERVERS = sizeof table / sizeof *table, WARNING_BYTES = 1024, MOST_WARNINGS = 32 };

struct trainer_observers {
  void *states[OBSERVERS];
  bool fails[OBSERVERS]; // the latest attempt to write did, which the log has
  // Warnings of any thread, until the training's thread hands them on; with the mutex held. That thread has the other
  // half meanwhile.
  pthread_mutex_t mutex;
  char warnings[2][MOST_WARNINGS][WARNING_BYTES];
  int half, warning_count; // those beyond MOST_WARNINGS are counted alone
};

// What became of an observer's output: said once when it fails and once when it works again, which the end is no proof
// of.
static titan_status tell(titan_trainer *trainer, int index, bool at_end, titan_status status) {
  const titan_observer *observer = table[index];
  bool fails = status == TITAN_ERROR_OUTPUT, *failed = &trainer->observers->fails[index];
  if (status != TITAN_OK && !fails)
    return status;
  if (fails && !*failed)
    titan_log_warning("%s; the training continues%s%s", titan_error_message(),
                      observer->missing != NULL ? ", and " : "", observer->missing != NULL ? observer->missing : "");
  else if (!fails && *failed && !at_end)
    titan_log_info("%s is written again%s", observer->name, observer->written != NULL ? observer->written : "");
  *failed = fails;
  return TITAN_OK;
}

static void note_warning(void *context, const char *text) {
  struct trainer_observers *observers = context;
  pthread_mutex_lock(&observers->mutex);
  if (observers->warning_count < MOST_WARNINGS)
    snprintf(observers->warnings[observers->half][observers->warning_count], WARNING_BYTES, "%s", text);
  observers->warning_count++;
  pthread_mutex_unlock(&observers->mutex);
}

// Hands on what has gathered. A warning that comes meanwhile waits for the next time.
static void hand_warnings_on(titan_trainer *trainer) {
  struct trainer_observers *observers = trainer->observers;
  pthread_mutex_lock(&observers->mutex);
  char(*warnings)[WARNING_BYTES] = observers->warnings[observers->half];
  int count = observers->warning_count;
  observers->half = 1 - observers->half;
  observers->warning_count = 0;
  pthread_mutex_unlock(&observers->mutex);
  for (int w = 0; w < count; w++)
    for (int i = 0; i < OBSERVERS; i++)
      if (observers->states[i] != NULL && table[i]->warning != NULL)
        table[i]->warning(observers->states[i], trainer, w < MOST_WARNINGS ? warnings[w] : NULL);
}

titan_status titan_observers_watch_warnings(titan_trainer *trainer) {
  titan_status status =
      titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, 1, sizeof *trainer->observers, &trainer->observers);
  if (status == TITAN_OK) {
    pthread_mutex_init(&trainer->observers->mutex, NULL);
    titan_log_watch(TITAN_LOG_WARNING, note_warning, trainer->observers);
  }
  return titan_comm_agree(titan_trainer_world(trainer), status);
}

titan_status titan_observers_create(titan_trainer *trainer) {
  for (int i = 0; i < OBSERVERS; i++) {
    titan_status status = tell(trainer, i, false, table[i]->create(trainer, &trainer->observers->states[i]));
    TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), status));
  }
  return TITAN_OK;
}

void titan_observers_destroy(titan_trainer *trainer) {
  struct trainer_observers *observers = trainer->observers;
  if (observers == NULL)
    return;
  titan_log_watch(TITAN_LOG_WARNING, NULL, NULL);
  for (int i = 0; i < OBSERVERS; i++)
    if (observers->states[i] != NULL && table[i]->destroy != NULL)
      table[i]->destroy(&observers->states[i]);
  pthread_mutex_destroy(&observers->mutex);
  titan_memory_free(observers);
  trainer->observers = NULL;
}

void titan_observers_stage(titan_trainer *trainer, const char *name) {
  for (int i = 0; i < OBSERVERS; i++)
    if (trainer->observers->states[i] != NULL && table[i]->stage != NULL)
      table[i]->stage(trainer->observers->states[i], trainer, name);
}

void titan_observers_computed(titan_trainer *trainer, int64_t step, bool *spoil) {
  for (int i = 0; i < OBSERVERS; i++)
    if (trainer->observers->states[i] != NULL && table[i]->computed != NULL)
      table[i]->computed(trainer->observers->states[i], trainer, step, spoil);
}

// Calls a slot of every observer that has it, which hears first what the ones before it have warned of.
#define REPORT(slot, event, at_end)                                                                                    \
  do {                                                                                                                 \
    for (int i = 0; i < OBSERVERS; i++)                                                                                \
      if (trainer->observers->states[i] != NULL && table[i]->slot != NULL) {                                           \
        hand_warnings_on(trainer);                                                                                     \
        TITAN_TRY(tell(trainer, i, at_end, table[i]->slot(trainer->observers->states[i], trainer, event)));            \
      }                                                                                                                \
    return TITAN_OK;                                                                                                   \
  } while (0)

titan_status titan_observers_step_begins(titan_trainer *trainer, int64_t step) {
  REPORT(step_begins, step, false);
}

titan_status titan_observers_step(titan_trainer *trainer, const trainer_step *step) {
  REPORT(step, step, false);
}

titan_status titan_observers_row(titan_trainer *trainer, const trainer_row *row) {
  REPORT(row, row, false);
}

titan_status titan_observers_validation(titan_trainer *trainer, const trainer_validation *validation) {
  REPORT(validation, validation, false);
}

titan_status titan_observers_save(titan_trainer *trainer, const trainer_save *save) {
  REPORT(save, save, false);
}

titan_status titan_observers_end(titan_trainer *trainer, const trainer_end *end) {
  REPORT(end, end, true);
}
