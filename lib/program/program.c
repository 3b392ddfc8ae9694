/* Programs of a context: each is found, loaded or built once, and its launches warmed once a class. Binaries are stored when
 * the context is destroyed. Not before the warming, because only then do they hold machine code on runtimes that generate that
 * late; and not by the plan, whose caller waits for a result: to give a binary PoCL 3.1 compiles a general variant of every
 * kernel, which doubles the time of a first start. */
#include "program/program.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"
#include "program/offline.h"
#include "store/store.h"

static void free_program(t3_program *program) {
  if (program->cl) clReleaseProgram(program->cl);
  t3_text_free(&program->key);
  t3_text_free(&program->warmed);
  t3_text_free(&program->stored);
  t3_text_free(&program->wrong);
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
static void load(tconv3d_context *context, t3_program *program, const t3_text *key, const char *options) {
  void *value;
  size_t size;
  if (!t3_store_get(context->store, key->data, key->size, &value, &size)) return;
  const char *classes = value;
  size_t head = strnlen(classes, size) + 1;
  if (head < size) program->cl = t3_build_binary(context->cl, program->device, options, classes + head, size - head);
  if (program->cl) t3_text_append_bytes(&program->stored, classes, head - 1);
  free(value);
}

static bool has_line(const t3_text *lines, const char *line, size_t length) {
  for (size_t at = 0; at + length <= lines->size; at += strcspn(lines->data + at, "\n") + 1)
    if (!memcmp(lines->data + at, line, length)) return true;
  return false;
}

/* Adds the whole lines of more that are not yet there. */
static void add_lines(t3_text *lines, const t3_text *more) {
  const char *end, *line = more->data;
  for (; line && (end = strchr(line, '\n')); line = end + 1) {
    size_t length = (size_t)(end - line) + 1;
    if (!has_line(lines, line, length)) t3_text_append_bytes(lines, line, length);
  }
}

/* The classes of a program that was loaded stay beside the new ones, since its binary still holds their code. PoCL 3.1 gives
 * back the very binary that it was given, without the new classes' code, which is then in PoCL's own cache alone; noting them
 * all the same keeps later starts from writing the same value again and again. */
static void keep(tconv3d_context *context, const t3_program *program) {
  unsigned char *binary;
  size_t size;
  if (!t3_program_binary(program->cl, program->device, &binary, &size)) return;
  t3_text value = {0};
  add_lines(&value, &program->stored);
  add_lines(&value, &program->warmed);
  t3_text_append_bytes(&value, "", 1);
  t3_text_append_bytes(&value, binary, size);
  if (t3_text_ok(&value)) t3_store_put(context->store, program->key.data, program->key.size, value.data, value.size);
  t3_text_free(&value);
  free(binary);
}

void t3_programs_keep(tconv3d_context *context) {
  /* After a fork the store holds nothing, and the runtime's threads and locks are in no state to compile. */
  if (!context->store || context->process != getpid()) return;
  for (t3_program *p = context->programs; p; p = p->next)
    if (p->news && !p->offline && !p->wrong.size) keep(context, p);
}

/* The cl_program: a binary of the directory, else one of the store, else built, which TCONV3D_NO_BUILD forbids. */
static tconv3d_status obtain(tconv3d_context *context, const t3_slot *slot, const char *name, const t3_text *text,
                             const t3_text *key, t3_program *program) {
  const char *options = t3_build_options(text);
  t3_offline offline;
  program->cl = t3_offline_load(context->cl, slot->info.device, key, options, &offline);
  program->offline = program->cl != NULL;
  if (!program->cl) load(context, program, key, options);
  if (program->cl) return TCONV3D_OK;
  if (t3_no_build()) return t3_offline_fail(name, key, offline);
  return t3_build_source(context->cl, &slot->info, name, text, &program->cl);
}

/* A new program in the context's list. */
static tconv3d_status make(tconv3d_context *context, const t3_slot *slot, const char *name, const t3_text *text, t3_text *key,
                           t3_program **result) {
  t3_program *program = calloc(1, sizeof *program);
  if (!program) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a program");
  program->device = slot->info.device;
  tconv3d_status status = obtain(context, slot, name, text, key, program);
  if (status != TCONV3D_OK) {
    free_program(program);
    return status;
  }
  program->key = *key;
  *key = (t3_text){0};
  program->next = context->programs;
  context->programs = program;
  *result = program;
  return TCONV3D_OK;
}

bool t3_program_has(const t3_program *program, const t3_text *line) {
  return has_line(&program->warmed, line->data, line->size) || has_line(&program->stored, line->data, line->size);
}

void t3_program_note(t3_program *program, const t3_text *line) {
  t3_text_append_bytes(&program->warmed, line->data, line->size);
  if (!has_line(&program->stored, line->data, line->size)) program->news = true;
}

/* Warms one command of a launch unless its class was warm. What was run before it was stored is run again: on some runtimes it
 * is warm in their own files only. */
static tconv3d_status warm_piece(tconv3d_context *context, const t3_slot *slot, t3_program *program, const t3_launch *launch,
                                 int64_t index) {
  t3_text line = {0};
  t3_piece piece = t3_piece_at(launch, index);
  t3_launch_class(&slot->info, launch, &piece, &line);
  if (!t3_text_ok(&line)) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a launch class");
  tconv3d_status status = TCONV3D_OK;
  if (!has_line(&program->warmed, line.data, line.size)) {
    status = t3_warm(context, slot, program, launch, &piece);
    if (status == TCONV3D_OK) t3_program_note(program, &line);
  }
  t3_text_free(&line);
  return status;
}

/* The first command has no offset, the last one may have a smaller grid than the others. */
static tconv3d_status warm(tconv3d_context *context, const t3_slot *slot, t3_program *program, const t3_launch *launch) {
  int64_t count = t3_num_pieces(launch);
  T3_TRY(warm_piece(context, slot, program, launch, 0));
  if (count > 2) T3_TRY(warm_piece(context, slot, program, launch, 1));
  return count > 1 ? warm_piece(context, slot, program, launch, count - 1) : TCONV3D_OK;
}

static tconv3d_status prepare_locked(tconv3d_context *context, const t3_slot *slot, const char *name, const t3_text *text,
                                     t3_text *key, const t3_launch *const *launches, int num_launches, t3_program **program) {
  t3_program *found = find(context, slot->info.device, key);
  if (!found) T3_TRY(make(context, slot, name, text, key, &found));
  for (int i = 0; i < num_launches; ++i)
    if (launches[i]->items) T3_TRY(warm(context, slot, found, launches[i]));
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
