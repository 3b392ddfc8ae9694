/* Programs of a context: each is found, loaded or built once, and its launches warmed once a class. The binary is stored after
 * the warming, because only then does it hold machine code on runtimes that generate that late. */
#include "program/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "store/store.h"

static void free_program(t3_program *program) {
  if (program->cl) clReleaseProgram(program->cl);
  t3_text_free(&program->key);
  t3_text_free(&program->warmed);
  t3_text_free(&program->stored);
  free(program);
}

void t3_programs_free(t3_program *list) {
  while (list) {
    t3_program *next = list->next;
    free_program(list);
    list = next;
  }
}

static t3_program *find(tconv3d_context *context, cl_device_id device, const t3_text *key) {
  for (t3_program *p = context->programs; p; p = p->next)
    if (p->device == device && p->key.size == key->size && !memcmp(p->key.data, key->data, key->size)) return p;
  return NULL;
}

/* From the store into program, if it is there: the launch classes it was run with, a NUL, the binary. */
static void load(tconv3d_context *context, t3_program *program, const t3_text *key) {
  void *value;
  size_t size;
  if (!t3_store_get(context->store, key->data, key->size, &value, &size)) return;
  const char *classes = value;
  size_t head = strnlen(classes, size) + 1;
  if (head < size) program->cl = t3_build_binary(context->cl, program->device, classes + head, size - head);
  if (program->cl) t3_text_append_bytes(&program->stored, classes, head - 1);
  free(value);
}

static void keep(tconv3d_context *context, const t3_program *program) {
  unsigned char *binary;
  size_t size;
  if (!context->store || !t3_program_binary(program->cl, program->device, &binary, &size)) return;
  t3_text value = {0};
  t3_text_append_bytes(&value, program->warmed.data, program->warmed.size);
  t3_text_append_bytes(&value, "", 1);
  t3_text_append_bytes(&value, binary, size);
  if (t3_text_ok(&value)) t3_store_put(context->store, program->key.data, program->key.size, value.data, value.size);
  t3_text_free(&value);
  free(binary);
}

/* A new program in the context's list. */
static tconv3d_status make(tconv3d_context *context, const t3_slot *slot, const char *name, const t3_text *text, t3_text *key,
                           t3_program **result) {
  t3_program *program = calloc(1, sizeof *program);
  if (!program) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a program");
  program->device = slot->info.device;
  load(context, program, key);
  if (!program->cl) {
    tconv3d_status status = t3_build_source(context->cl, &slot->info, name, text, &program->cl);
    if (status != TCONV3D_OK) {
      free_program(program);
      return status;
    }
  }
  program->key = *key;
  *key = (t3_text){0};
  program->next = context->programs;
  context->programs = program;
  *result = program;
  return TCONV3D_OK;
}

static bool has_line(const t3_text *lines, const t3_text *line) {
  for (const char *at = lines->data; at && (at = strstr(at, line->data)); ++at)
    if (at == lines->data || at[-1] == '\n') return true; /* one name may end like another */
  return false;
}

/* Warms one launch unless its class was warm; *news becomes true when the stored binary has not seen the class. What was run
 * before it was stored is run again: on some runtimes it is warm in their own files only. */
static tconv3d_status warm(tconv3d_context *context, const t3_slot *slot, t3_program *program, const t3_launch *launch,
                           bool *news) {
  t3_text line = {0};
  t3_text_append(&line, "%s %zu %s\n", launch->kernel, launch->local, t3_grid_is_large(launch) ? "large" : "small");
  if (!t3_text_ok(&line)) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a launch class");
  tconv3d_status status = TCONV3D_OK;
  if (!has_line(&program->warmed, &line)) {
    status = t3_warm(context, slot, program, launch);
    if (status == TCONV3D_OK) t3_text_append_bytes(&program->warmed, line.data, line.size);
    if (!has_line(&program->stored, &line)) *news = true;
  }
  t3_text_free(&line);
  return status;
}

static tconv3d_status prepare_locked(tconv3d_context *context, const t3_slot *slot, const char *name, const t3_text *text,
                                     t3_text *key, const t3_launch *const *launches, int num_launches, t3_program **program) {
  bool news = false;
  t3_program *found = find(context, slot->info.device, key);
  if (!found) T3_TRY(make(context, slot, name, text, key, &found));
  for (int i = 0; i < num_launches; ++i)
    if (launches[i]->items) T3_TRY(warm(context, slot, found, launches[i], &news));
  if (news) keep(context, found);
  *program = found;
  return TCONV3D_OK;
}

tconv3d_status t3_program_prepare(tconv3d_context *context, const t3_slot *slot, const char *name, const t3_text *defines,
                                  const t3_launch *const *launches, int num_launches, t3_program **program) {
  t3_text text = {0}, key = {0};
  tconv3d_status status = TCONV3D_OK;
  if (!t3_program_text(name, defines, &text))
    status = t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for the source of '%s'", name);
  else
    t3_program_key(&slot->info, &text, &key);
  if (status == TCONV3D_OK && !t3_text_ok(&key))
    status = t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for the key of '%s'", name);
  if (status == TCONV3D_OK) {
    pthread_mutex_lock(&context->building);
    status = prepare_locked(context, slot, name, &text, &key, launches, num_launches, program);
    pthread_mutex_unlock(&context->building);
  }
  t3_text_free(&text);
  t3_text_free(&key);
  return status;
}
