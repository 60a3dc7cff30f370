// SPDX-License-Identifier: Apache-2.0
// A picture of an order in time.
#ifndef TITAN_STEP_DRAW_H
#define TITAN_STEP_DRAW_H

#include "step/predict.h"

// Adds an SVG file: ranks down, time across, a box for each cell. A box has the colour of its microbatch, in a shade
// for what is computed; a bar at its top tells the stages of a rank apart. Idle time is grey; a line goes from what is
// computed to what needs it on another rank. Each box says in a tooltip what it is, and when.
// prediction: of this order, or spans that were measured. title: one line, any characters. unit: of the times, "s".
// TITAN_ERROR_MEMORY.
titan_status titan_order_draw(const titan_order *order, const titan_prediction *prediction, const char *title,
                              const char *unit, titan_text *svg);

#endif
