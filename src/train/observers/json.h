// SPDX-License-Identifier: Apache-2.0
// Events as JSON objects, for the observers that write such.
#ifndef TITAN_TRAIN_OBSERVERS_JSON_H
#define TITAN_TRAIN_OBSERVERS_JSON_H

#include "train/observer.h"

#include <jansson.h>

// A number; null where it is not finite, which JSON has no number for. The caller owns it; NULL: out of memory, which
// jansson's functions pass on.
json_t *titan_json_number(double value);
// Every column of a row by its name. The caller owns it.
json_t *titan_json_row(const titan_metrics_row *row);
// Steps, tokens, seconds, rate, mfu, node hours, memory and energy of a part of a run. The caller owns it.
json_t *titan_json_part(const titan_report_part *part);

#endif
