// SPDX-License-Identifier: Apache-2.0
// Status codes, and the message that goes with a failure.
//
// A function that can fail returns titan_status. The failing place calls titan_error(), which stores one message for
// people (per thread); each caller on the way up uses TITAN_TRY, which adds its file and line to a trace. Only a main
// function prints the message and exits. All of it is active in every build type.
#ifndef TITAN_BASE_STATUS_H
#define TITAN_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

// name, exit code of the program, short text
#define TITAN_STATUS_LIST(X)                                                                                           \
  X(OK, 0, "done")                                                                                                     \
  X(ERROR_USAGE, 2, "usage or configuration")                                                                          \
  X(ERROR_DATA, 3, "data")                                                                                             \
  X(ERROR_CHECKPOINT, 4, "checkpoint")                                                                                 \
  X(ERROR_COMMUNICATION, 5, "communication")                                                                           \
  X(ERROR_DEVICE, 5, "device")                                                                                         \
  X(ERROR_MEMORY, 5, "out of memory")                                                                                  \
  X(ERROR_OUTPUT, 5, "output")                                                                                         \
  X(ERROR_NUMBERS, 6, "non-finite numbers")                                                                            \
  X(ERROR_INTERNAL, 70, "internal error")                                                                              \
  X(PREEMPTED, 75, "ended early by a signal")

typedef enum titan_status {
#define TITAN_STATUS_ENUM(name, code, text) TITAN_##name,
  TITAN_STATUS_LIST(TITAN_STATUS_ENUM)
#undef TITAN_STATUS_ENUM
} titan_status;

// Exit code of the program for a status (see the list above).
int titan_status_exit_code(titan_status status);

// Short text of a status, for messages.
const char *titan_status_text(titan_status status);

// Stores the message of a new failure for this thread (replacing the previous one) and returns `status`.
#define titan_error(status, ...) titan_error_at((status), __FILE__, __LINE__, __VA_ARGS__)
titan_status titan_error_at(titan_status status, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Appends file:line to the trace of this thread's current failure; returns `status`.
titan_status titan_error_pass(titan_status status, const char *file, int line);

// Message and trace of the last failure in this thread; "" when there is none. Valid until the next failure.
const char *titan_error_message(void);
const char *titan_error_trace(void);
void titan_error_clear(void);

// Whether all ranks have agreed on the last failure, so that one of them may speak for all and each may end by itself.
// Set by who makes ranks agree (titan_comm_agree); a new failure clears it.
void titan_error_mark_agreed(void);
bool titan_error_was_agreed(void);

// The failure of this thread as it stands, for who has to do more before it is passed on: what fails meanwhile replaces
// it, until it is restored.
enum { TITAN_ERROR_MESSAGE_BYTES = 16384, TITAN_ERROR_TRACE_BYTES = 2048 };
typedef struct titan_kept_error {
  bool agreed;
  char message[TITAN_ERROR_MESSAGE_BYTES], trace[TITAN_ERROR_TRACE_BYTES];
} titan_kept_error;
void titan_error_keep(titan_kept_error *kept);
void titan_error_restore(const titan_kept_error *kept);

// Returns from the current function when `expression` fails.
#define TITAN_TRY(expression)                                                                                          \
  do {                                                                                                                 \
    titan_status titan_try_status = (expression);                                                                      \
    if (titan_try_status != TITAN_OK)                                                                                  \
      return titan_error_pass(titan_try_status, __FILE__, __LINE__);                                                   \
  } while (0)

// Sets the local variable `status` and jumps to the label `cleanup` when `expression` fails.
#define TITAN_TRY_CLEANUP(expression)                                                                                  \
  do {                                                                                                                 \
    status = (expression);                                                                                             \
    if (status != TITAN_OK) {                                                                                          \
      titan_error_pass(status, __FILE__, __LINE__);                                                                    \
      goto cleanup;                                                                                                    \
    }                                                                                                                  \
  } while (0)

#endif
