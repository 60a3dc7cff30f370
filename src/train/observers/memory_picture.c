// SPDX-License-Identifier: Apache-2.0
#include "train/observers/memory_picture.h"

#include "base/memory.h"

#include <inttypes.h>

// Pixels.
enum { LEFT = 90, RIGHT = 20, TOP = 60, ACROSS = 1200, PANEL = 260, GAP = 60 };

static const char *const colours[TITAN_BLOCK_KINDS] = {
    [TITAN_BLOCK_INPUT] = "#4e79a7",    [TITAN_BLOCK_INPUT_GRADIENT] = "#a0cbe8", [TITAN_BLOCK_SAVED] = "#f28e2b",
    [TITAN_BLOCK_KEPT] = "#ffbe7d",     [TITAN_BLOCK_PASSED] = "#8cd17d",         [TITAN_BLOCK_SCRATCH] = "#bab0ac",
    [TITAN_BLOCK_GATHERED] = "#59a14f", [TITAN_BLOCK_FLAT] = "#e15759",           [TITAN_BLOCK_SUM] = "#ff9d9a",
    [TITAN_BLOCK_PART] = "#b07aa1",     [TITAN_BLOCK_SHARD] = "#9c755f",
};

// An action as the list prints it, without its line's end; quotes and angle brackets are not in it.
static titan_status action_text(titan_runtime_list list, int action, titan_text *text) {
  text->length = 0;
  TITAN_TRY(titan_action_print(&list.list->actions[action], list.shape, text));
  while (text->length > 0 && (text->data[text->length - 1] == '\n' || text->data[text->length - 1] == ' '))
    text->data[--text->length] = '\0';
  return TITAN_OK;
}

// "saved of layers.3, microbatch 0"
static titan_status block_text(titan_runtime_list list, const titan_step_block *block, titan_text *text) {
  text->length = 0;
  TITAN_TRY(titan_text_printf(text, "%s of %s", titan_block_kind_name(block->kind),
                              block->unit >= 0 ? list.shape->units[block->unit].name : "the step"));
  return block->microbatch >= 0 ? titan_text_printf(text, ", microbatch %d", block->microbatch) : TITAN_OK;
}

// --- JSON ---

static titan_status write_tags(titan_text *text) {
  TITAN_TRY(titan_text_printf(text, " \"tags\": ["));
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++) {
    titan_memory_usage usage = titan_memory_usage_of((titan_memory_tag)tag);
    TITAN_TRY(titan_text_printf(
        text, "%s\n  {\"name\": \"%s\", \"live_bytes\": %zu, \"peak_bytes\": %zu, \"allocations\": %" PRIu64 "}",
        tag > 0 ? "," : "", titan_memory_tag_text((titan_memory_tag)tag), usage.live_bytes, usage.peak_bytes,
        usage.live_count));
  }
  return titan_text_printf(text, "\n ],\n");
}

static titan_status write_arenas(const titan_step_memory *memory, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, " \"arenas\": ["));
  for (int arena = 0; arena < TITAN_ARENAS; arena++)
    TITAN_TRY(titan_text_printf(text, "%s\n  {\"name\": \"%s\", \"bytes\": %zu, \"most_alive\": %zu}",
                                arena > 0 ? "," : "", titan_arena_name((titan_arena)arena), memory->bytes[arena],
                                memory->bounds[arena]));
  return titan_text_printf(text, "\n ],\n");
}

static titan_status write_blocks(titan_runtime_list list, titan_text *name, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, " \"actions\": ["));
  for (int action = 0; action < list.list->count; action++) {
    TITAN_TRY(action_text(list, action, name));
    TITAN_TRY(titan_text_printf(text, "%s\n  \"%s\"", action > 0 ? "," : "", name->data));
  }
  TITAN_TRY(titan_text_printf(text, "\n ],\n \"blocks\": ["));
  for (int i = 0; i < list.memory->block_count; i++) {
    const titan_step_block *block = &list.memory->blocks[i];
    TITAN_TRY(block_text(list, block, name));
    TITAN_TRY(titan_text_printf(text,
                                "%s\n  {\"name\": \"%s\", \"arena\": \"%s\", \"offset\": %zu, \"bytes\": %zu, "
                                "\"first_action\": %d, \"last_action\": %d}",
                                i > 0 ? "," : "", name->data, titan_arena_name(block->arena), block->offset,
                                block->bytes, block->first, block->last));
  }
  return titan_text_printf(text, "\n ]}\n");
}

titan_status titan_memory_picture_json(const titan_runtime *runtime, int rank, int64_t step, titan_text *text) {
  titan_runtime_list list = titan_runtime_list_of(runtime, false);
  titan_text name = {0};
  titan_status status = titan_text_printf(text, "{\"rank\": %d, \"step\": %" PRId64 ",\n", rank, step);
  if (status == TITAN_OK)
    status = write_tags(text);
  if (status == TITAN_OK)
    status = write_arenas(list.memory, text);
  if (status == TITAN_OK)
    status = write_blocks(list, &name, text);
  titan_text_destroy(&name);
  return status;
}

// --- SVG ---

static double top_of(int arena) {
  return TOP + arena * (PANEL + GAP);
}

static titan_status draw_block(titan_runtime_list list, const titan_step_block *block, titan_text *name,
                               titan_text *text) {
  double bytes = (double)list.memory->bytes[block->arena], actions = list.list->count;
  double x = LEFT + ACROSS * block->first / actions, width = ACROSS * (block->last - block->first + 1) / actions;
  double height = PANEL * (double)block->bytes / bytes;
  double y = top_of(block->arena) + PANEL - PANEL * (double)block->offset / bytes - height;
  if (block->bytes == 0)
    return TITAN_OK;
  TITAN_TRY(block_text(list, block, name));
  TITAN_TRY(titan_text_printf(
      text,
      "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\" stroke=\"#fff\" stroke-width=\"0.3\">", x,
      y, width, height, colours[block->kind]));
  TITAN_TRY(titan_text_printf(text, "<title>%s: %zu bytes at %zu, ", name->data, block->bytes, block->offset));
  TITAN_TRY(action_text(list, block->first, name));
  TITAN_TRY(titan_text_printf(text, "from #%d (%s) ", block->first, name->data));
  TITAN_TRY(action_text(list, block->last, name));
  return titan_text_printf(text, "to #%d (%s)</title></rect>\n", block->last, name->data);
}

static titan_status draw_panel(const titan_step_memory *memory, int arena, titan_text *text) {
  double top = top_of(arena);
  TITAN_TRY(titan_text_printf(text, "<text x=\"%d\" y=\"%.0f\">%s: %.3f MiB, at most %.3f MiB alive at once</text>\n",
                              LEFT, top - 8, titan_arena_name((titan_arena)arena),
                              (double)memory->bytes[arena] / 1048576, (double)memory->bounds[arena] / 1048576));
  TITAN_TRY(titan_text_printf(text, "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%.1f MiB</text>\n", LEFT - 6,
                              top + 10, (double)memory->bytes[arena] / 1048576));
  TITAN_TRY(titan_text_printf(text, "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">0</text>\n", LEFT - 6, top + PANEL));
  return titan_text_printf(text,
                           "<rect x=\"%d\" y=\"%.0f\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#888\"/>\n",
                           LEFT, top, ACROSS, PANEL);
}

static titan_status draw_legend(titan_text *text) {
  for (int kind = 0; kind < TITAN_BLOCK_KINDS; kind++)
    TITAN_TRY(titan_text_printf(
        text, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"%d\">%s</text>\n",
        LEFT + 108 * kind, TOP + TITAN_ARENAS * (PANEL + GAP) - 30, colours[kind], LEFT + 108 * kind + 16,
        TOP + TITAN_ARENAS * (PANEL + GAP) - 20, titan_block_kind_name((titan_block_kind)kind)));
  return TITAN_OK;
}

static titan_status draw(titan_runtime_list list, titan_text *name, titan_text *text) {
  for (int arena = 0; arena < TITAN_ARENAS; arena++)
    TITAN_TRY(draw_panel(list.memory, arena, text));
  for (int i = 0; i < list.memory->block_count; i++)
    TITAN_TRY(draw_block(list, &list.memory->blocks[i], name, text));
  return draw_legend(text);
}

titan_status titan_memory_picture_svg(const titan_runtime *runtime, int rank, int64_t step, titan_text *text) {
  titan_runtime_list list = titan_runtime_list_of(runtime, false);
  titan_text name = {0};
  titan_status status = titan_text_printf(
      text,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"24\" font-size=\"16\">Memory of rank "
      "%d in step %" PRId64 ": %d actions across, addresses up</text>\n",
      LEFT + ACROSS + RIGHT, TOP + TITAN_ARENAS * (PANEL + GAP), LEFT, rank, step, list.list->count);
  if (status == TITAN_OK)
    status = draw(list, &name, text);
  if (status == TITAN_OK)
    status = titan_text_printf(text, "</svg>\n");
  titan_text_destroy(&name);
  return status;
}
