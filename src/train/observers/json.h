// SPDX-License-Identifier: Apache-2.0
// Events as JSON objects, for the observers that write such.
#ifndef TITAN_TRAIN_OBSERVERS_JSON_H
#define TITAN_TRAIN_OBSERVERS_JSON_H

#include "observe/json_value.h"
#include "train/observer.h"

// Every column of a row by its name. The caller owns it.
json_t *titan_json_row(const titan_metrics_row *row);
// Step, loss and tokens. The caller owns it.
json_t *titan_json_validation(const titan_metrics_validation_row *row);
// Step, path and bytes. The caller owns it.
json_t *titan_json_save(const trainer_save *save);
// Steps, tokens, seconds, rate, mfu, node hours, memory and energy of a part of a run. The caller owns it.
json_t *titan_json_part(const titan_report_part *part);

#endif
