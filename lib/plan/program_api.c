/* A plan's program for others to build: its source, its identity, its binary. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/status.h"
#include "plan/plan.h"
#include "tune/tuning.h"

static void describe_launch(const t3_launch *launch, const char *when, t3_text *text) {
  if (launch->kernel && launch->items)
    t3_text_append(text, "kernel %s: %" PRId64 " work-items in groups of %zu, %s\n", launch->kernel,
                   t3_round_up(launch->items, (int64_t)launch->local), launch->local, when);
}

static void describe(const tconv3d_plan *plan, const char *name, const char *options, t3_text *text) {
  const tconv3d_device_info *device = &plan->slot->info;
  t3_text_append(text, "program %s\n", name);
  t3_layer_print(&plan->problem.layer, plan->problem.operation, text);
  t3_text_append(text, "\ndevice %s\nplatform %s, %s\ndriver %s\noptions %s\n", device->name, device->platform_name,
                 device->platform_version, device->driver, options);
  describe_launch(&plan->recipe.pack, "for weights", text);
  describe_launch(&plan->recipe.pack_channels, "for what the epilogue has for each channel", text);
  for (int i = 0; i < plan->recipe.num_run; ++i) describe_launch(&plan->recipe.run[i], "a call", text);
  t3_text_append(text, "\n%s\ndefines\n%s", plan->explanation.data, plan->recipe.defines.data);
}

/* The text's bytes, for free(); the text is empty then. NULL: no memory. */
static char *take(t3_text *text) {
  char *data = t3_text_ok(text) ? text->data : NULL;
  if (data) *text = (t3_text){0};
  return data;
}

static tconv3d_status fill(const tconv3d_plan *plan, tconv3d_program *program) {
  t3_text source = {0}, key = {0}, description = {0};
  if (t3_program_text(plan->chosen.algorithm->program, &plan->recipe.defines, &source))
    t3_program_key(&plan->slot->info, &source, &key);
  if (key.data && t3_text_ok(&key)) {
    t3_program_name(&key, program->name);
    describe(plan, program->name, t3_build_options(&source), &description);
    program->key_bytes = key.size;
    program->options = strdup(t3_build_options(&source));
    program->key = take(&key), program->source = take(&source), program->description = take(&description);
  }
  t3_text_free(&source);
  t3_text_free(&key);
  t3_text_free(&description);
  bool whole = program->key && program->source && program->description && program->options;
  return whole ? TCONV3D_OK : t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a program's text");
}

/* Exactly the draft's program, so that its name is that of the other parts. */
static tconv3d_status fill_binary(const tconv3d_plan *draft, const t3_request *request, tconv3d_program *program) {
  tconv3d_plan *plan;
  T3_TRY(t3_plan_make(draft->context, draft->slot, request, NULL, &draft->chosen, &plan));
  bool given = t3_program_binary(plan->program->cl, plan->program->device, &program->binary, &program->binary_bytes);
  tconv3d_plan_destroy(plan);
  if (given) t3_hash_name(program->binary, program->binary_bytes, program->binary_hash);
  if (given) return TCONV3D_OK;
  return t3_fail(TCONV3D_BUILD_FAILED, "device '%s' gives no binary of '%s'", draft->slot->info.name,
                 draft->chosen.algorithm->program);
}

tconv3d_status tconv3d_program_create(tconv3d_context *context, const tconv3d_desc *desc, const tconv3d_plan_options *options,
                                      int build, tconv3d_program *program) {
  const t3_slot *slot;
  t3_request request;
  tconv3d_plan *draft;
  if (!program) return t3_fail(TCONV3D_INVALID_ARGUMENT, "program is NULL");
  *program = (tconv3d_program){.name = ""};
  if (!options) options = &t3_plan_defaults;
  T3_TRY(t3_plan_ask(context, desc, options, &slot, &request));
  T3_TRY(t3_plan_draft(context, slot, &request, options->algorithm, &draft));
  tconv3d_status status = fill(draft, program);
  if (status == TCONV3D_OK && build) status = fill_binary(draft, &request, program);
  tconv3d_plan_destroy(draft);
  if (status != TCONV3D_OK) tconv3d_program_free(program);
  return status;
}

void tconv3d_program_free(tconv3d_program *program) {
  if (!program) return;
  free(program->key);
  free(program->source);
  free(program->options);
  free(program->description);
  free(program->binary);
  *program = (tconv3d_program){.name = ""};
}
