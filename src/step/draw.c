// SPDX-License-Identifier: Apache-2.0
#include "step/draw.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Pixels.
enum { LEFT = 70, RIGHT = 190, TOP = 40, BOTTOM = 84, ROW = 34, GAP = 14, BAR = 3, LETTER = 8 };
enum { LEAST_ACROSS = 1400, MOST_ACROSS = 14000, CELL = 16, MOST_LINES = 4000 };

typedef struct drawing {
  const titan_order *order;
  const titan_prediction *prediction;
  const char *unit;
  titan_text *svg;
  titan_span **spans; // [stages][microbatches]: of the forward, then of the backward or input gradient
  int across, lines;
} drawing;

// What a shade means: its lightness, and that of the text on it.
static const struct {
  const char *name;
  double lightness;
  const char *text;
} shades[TITAN_COMPUTES] = {[TITAN_COMPUTE_FORWARD] = {"forward (F)", 0.80, "#000"},
                            [TITAN_COMPUTE_BACKWARD] = {"backward (B)", 0.36, "#fff"},
                            [TITAN_COMPUTE_INPUT_GRADIENT] = {"input gradient (I)", 0.46, "#fff"},
                            [TITAN_COMPUTE_WEIGHT_GRADIENT] = {"weight gradient (W)", 0.26, "#fff"}};

static const char idle_colour[] = "#ececec", line_colour[] = "#555";

// Neighbouring microbatches are far apart on the colour wheel, by the golden angle.
static void colour_of(int microbatch, titan_compute compute, char out[8]) {
  double hue = fmod(microbatch * 137.508 + 210, 360) / 60, lightness = shades[compute].lightness;
  double strength = (1 - fabs(2 * lightness - 1)) * 0.62, second = strength * (1 - fabs(fmod(hue, 2) - 1));
  const double parts[6][3] = {{strength, second, 0}, {second, strength, 0}, {0, strength, second},
                              {0, second, strength}, {second, 0, strength}, {strength, 0, second}};
  unsigned bytes[3];
  for (int i = 0; i < 3; i++)
    bytes[i] = (unsigned)lround(255 * (parts[(int)hue % 6][i] + lightness - strength / 2)) & 255u;
  snprintf(out, 8, "#%02x%02x%02x", bytes[0], bytes[1], bytes[2]);
}

static double x_of(const drawing *d, double time) {
  return LEFT + d->across * time / (d->prediction->makespan > 0 ? d->prediction->makespan : 1);
}

static double y_of(int rank) {
  return TOP + rank * (ROW + GAP);
}

static titan_status add_title(const drawing *d, const char *title) {
  TITAN_TRY(titan_text_printf(d->svg, "<text x=\"%d\" y=\"24\" font-size=\"16\">", LEFT));
  for (; *title != '\0'; title++)
    TITAN_TRY(*title == '&'   ? titan_text_printf(d->svg, "&amp;")
              : *title == '<' ? titan_text_printf(d->svg, "&lt;")
                              : titan_text_append(d->svg, title, 1));
  return titan_text_printf(d->svg, "</text>\n");
}

// --- ranks ---

static titan_status add_cell(const drawing *d, int rank, int place) {
  const titan_cell *cell = &d->order->cells[rank][place];
  titan_span span = d->prediction->ranks[rank].spans[place];
  double x = x_of(d, span.begin), width = x_of(d, span.end) - x, y = y_of(rank);
  char colour[8], label[40];
  titan_text name = {0};
  colour_of(cell->microbatch, cell->compute, colour);
  TITAN_TRY(titan_cell_print(cell, &name));
  snprintf(label, sizeof label, "%s", name.data);
  titan_text_destroy(&name);
  TITAN_TRY(titan_text_printf(d->svg,
                              "<g><title>rank %d: %s, %.4g to %.4g %s</title>"
                              "<rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%d\" fill=\"%s\" stroke=\"#fff\" "
                              "stroke-width=\"0.5\"/>",
                              rank, label, span.begin, span.end, d->unit, x, y, width, ROW, colour));
  int local = 0;
  for (int stage = 0; stage < cell->stage; stage++)
    local += d->order->rank_of_stage[stage] == rank;
  if (local > 0)
    TITAN_TRY(titan_text_printf(d->svg, "<rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%d\" fill=\"#000\"/>", x,
                                y, width, BAR * (local < 3 ? local : 3)));
  if (width < (double)(LETTER * strlen(label)))
    snprintf(label, sizeof label, "%d", cell->microbatch);
  if (width >= (double)(LETTER * strlen(label)))
    TITAN_TRY(titan_text_printf(d->svg, "<text x=\"%.2f\" y=\"%.0f\" text-anchor=\"middle\" fill=\"%s\">%s</text>",
                                x + width / 2, y + ROW - 10, shades[cell->compute].text, label));
  return titan_text_printf(d->svg, "</g>\n");
}

static titan_status add_rank(const drawing *d, int rank) {
  const titan_predicted_rank *row = &d->prediction->ranks[rank];
  double whole = d->prediction->makespan > 0 ? d->prediction->makespan : 1, middle = y_of(rank) + ROW - 12;
  TITAN_TRY(titan_text_printf(d->svg,
                              "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">rank %d</text>"
                              "<rect x=\"%d\" y=\"%.0f\" width=\"%d\" height=\"%d\" fill=\"%s\"/>"
                              "<text x=\"%d\" y=\"%.0f\">busy %.1f %%",
                              LEFT - 10, middle, rank, LEFT, y_of(rank), d->across, ROW, idle_colour,
                              LEFT + d->across + 10, middle, 100 * row->busy / whole));
  if (row->most_in_flight > 0) // what was measured does not tell
    TITAN_TRY(titan_text_printf(d->svg, ", %d in flight", row->most_in_flight));
  TITAN_TRY(titan_text_printf(d->svg, "</text>\n"));
  for (int i = 0; i < d->order->counts[rank]; i++)
    TITAN_TRY(add_cell(d, rank, i));
  return TITAN_OK;
}

// --- transfers ---

static titan_span **span_at(const drawing *d, const titan_cell *cell) {
  size_t half = cell->compute == TITAN_COMPUTE_FORWARD ? 0 : 1;
  size_t stages = (size_t)d->order->stages, microbatches = (size_t)d->order->microbatches;
  return &d->spans[(half * stages + (size_t)cell->stage) * microbatches + (size_t)cell->microbatch];
}

static void find_spans(const drawing *d) {
  for (int rank = 0; rank < d->order->ranks; rank++)
    for (int i = 0; i < d->order->counts[rank]; i++)
      if (d->order->cells[rank][i].compute != TITAN_COMPUTE_WEIGHT_GRADIENT)
        *span_at(d, &d->order->cells[rank][i]) = &d->prediction->ranks[rank].spans[i];
}

// From the edge of the rank that sends to the edge of the one that receives.
static titan_status add_lines(drawing *d, int rank, int place) {
  const titan_cell *cell = &d->order->cells[rank][place];
  titan_cell needs[2];
  int count = titan_order_needs(d->order, cell, needs);
  for (int i = 0; i < count && d->lines < MOST_LINES; i++) {
    int from = d->order->rank_of_stage[needs[i].stage];
    const titan_span *sent = *span_at(d, &needs[i]);
    if (from == rank || sent == NULL)
      continue;
    d->lines++;
    TITAN_TRY(titan_text_printf(d->svg, "<line x1=\"%.2f\" y1=\"%.0f\" x2=\"%.2f\" y2=\"%.0f\"/>\n", x_of(d, sent->end),
                                y_of(from) + (from < rank ? ROW : 0),
                                x_of(d, d->prediction->ranks[rank].spans[place].begin),
                                y_of(rank) + (from < rank ? 0 : ROW)));
  }
  return TITAN_OK;
}

static titan_status add_transfers(drawing *d) {
  size_t entries = 2 * (size_t)d->order->stages * (size_t)d->order->microbatches;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, entries, sizeof *d->spans, &d->spans));
  titan_status status = TITAN_OK;
  find_spans(d);
  TITAN_TRY_CLEANUP(
      titan_text_printf(d->svg, "<g stroke=\"%s\" stroke-width=\"0.8\" stroke-opacity=\"0.6\">\n", line_colour));
  for (int rank = 0; rank < d->order->ranks; rank++)
    for (int i = 0; i < d->order->counts[rank]; i++)
      TITAN_TRY_CLEANUP(add_lines(d, rank, i));
  TITAN_TRY_CLEANUP(titan_text_printf(d->svg, "</g>\n"));
cleanup:
  titan_memory_free(d->spans);
  return status;
}

// --- around it ---

// About ten marks, at 1, 2 or 5 times a power of ten.
static titan_status add_scale(const drawing *d) {
  double makespan = d->prediction->makespan, y = y_of(d->order->ranks) - GAP;
  if (!(makespan > 0))
    return TITAN_OK;
  double power = pow(10, floor(log10(makespan / 10))), ratio = makespan / 10 / power;
  double step = power * (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10);
  for (int mark = 0; mark * step <= makespan * (1 + 1e-9); mark++)
    TITAN_TRY(titan_text_printf(d->svg,
                                "<line x1=\"%.2f\" y1=\"%.0f\" x2=\"%.2f\" y2=\"%.0f\" stroke=\"#000\"/>"
                                "<text x=\"%.2f\" y=\"%.0f\" text-anchor=\"middle\">%.4g</text>\n",
                                x_of(d, mark * step), y + 4, x_of(d, mark * step), y + 10, x_of(d, mark * step), y + 24,
                                mark * step));
  return titan_text_printf(d->svg, "<text x=\"%d\" y=\"%.0f\">%.4g %s in all</text>\n", LEFT + d->across + 10, y + 55,
                           makespan, d->unit);
}

static titan_status add_legend(const drawing *d) {
  bool used[TITAN_COMPUTES] = {false};
  double y = y_of(d->order->ranks) - GAP + 42;
  int x = LEFT;
  for (int rank = 0; rank < d->order->ranks; rank++)
    for (int i = 0; i < d->order->counts[rank]; i++)
      used[d->order->cells[rank][i].compute] = true;
  for (int compute = 0; compute <= TITAN_COMPUTES; compute++) {
    char colour[8];
    if (compute < TITAN_COMPUTES && !used[compute])
      continue;
    snprintf(colour, sizeof colour, "%s", idle_colour);
    if (compute < TITAN_COMPUTES)
      colour_of(0, (titan_compute)compute, colour);
    TITAN_TRY(titan_text_printf(d->svg,
                                "<rect x=\"%d\" y=\"%.0f\" width=\"18\" height=\"18\" fill=\"%s\"/>"
                                "<text x=\"%d\" y=\"%.0f\">%s</text>\n",
                                x, y, colour, x + 24, y + 13,
                                compute < TITAN_COMPUTES ? shades[compute].name : "idle"));
    x += compute < TITAN_COMPUTES ? 170 : 70;
  }
  return titan_text_printf(d->svg,
                           "<line x1=\"%d\" y1=\"%.0f\" x2=\"%d\" y2=\"%.0f\" stroke=\"%s\" stroke-width=\"0.8\"/>"
                           "<text x=\"%d\" y=\"%.0f\">transfer%s; a colour is a microbatch%s</text>\n",
                           x, y + 16, x + 18, y + 2, line_colour, x + 24, y + 13,
                           d->lines == MOST_LINES ? " (not all are drawn)" : "",
                           d->order->stages > d->order->ranks ? ", a black bar a later stage of the rank" : "");
}

// Wide enough for the rank with the most cells.
static int across_of(const titan_order *order) {
  int most = LEAST_ACROSS / CELL;
  for (int rank = 0; rank < order->ranks; rank++)
    most = order->counts[rank] > most ? order->counts[rank] : most;
  return most < MOST_ACROSS / CELL ? most * CELL : MOST_ACROSS;
}

titan_status titan_order_draw(const titan_order *order, const titan_prediction *prediction, const char *title,
                              const char *unit, titan_text *svg) {
  drawing d = {.order = order, .prediction = prediction, .unit = unit, .svg = svg, .across = across_of(order)};
  int width = LEFT + d.across + RIGHT, height = TOP + order->ranks * (ROW + GAP) - GAP + BOTTOM;
  TITAN_TRY(titan_text_printf(svg,
                              "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                              "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n"
                              "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
                              width, height, width, height, width, height));
  TITAN_TRY(add_title(&d, title));
  for (int rank = 0; rank < order->ranks; rank++)
    TITAN_TRY(add_rank(&d, rank));
  TITAN_TRY(add_transfers(&d));
  TITAN_TRY(add_scale(&d));
  TITAN_TRY(add_legend(&d));
  return titan_text_printf(svg, "</svg>\n");
}
