/* cmd_cache.c: `tconv3d cache`: what the cache of programs and tunings holds, and emptying it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tconv3d/command.h"

enum cache_action { CACHE_SHOW, CACHE_CLEAR };

static error_t parse_cache(int key, char *arg, struct argp_state *state) {
  static const char *const actions[] = {[CACHE_SHOW] = "show", [CACHE_CLEAR] = "clear"};
  enum cache_action *action = state->input;
  if (key != ARGP_KEY_ARG) return ARGP_ERR_UNKNOWN;
  if (state->arg_num > 0) return parse_fault(state, "unexpected argument '%s'", arg);
  for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
    if (strcmp(arg, actions[i]) != 0) continue;
    *action = (enum cache_action)i;
    return 0;
  }
  return parse_fault(state, "cache '%s': it can show or clear", arg);
}

static bool show(struct fault *fault) {
  tconv3d_cache_info info;
  tconv3d_status status = tconv3d_cache_query(&info);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  if (!*info.path) {
    printf("no cache: %s\n", info.reason);
    return true;
  }
  printf("%s\n%" PRIu64 " entries, of them %" PRIu64 " tunings, %.1f MiB of at most %.1f MiB\n", info.path, info.entries,
         info.tunings, (double)info.bytes / (1 << 20), (double)info.capacity_bytes / (1 << 20));
  return true;
}

static bool clear(struct fault *fault) {
  tconv3d_cache_info info;
  tconv3d_status status = tconv3d_cache_clear();
  if (status == TCONV3D_OK) status = tconv3d_cache_query(&info);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  if (!*info.path) printf("no cache: %s\n", info.reason);
  return true;
}

int cmd_cache(int argc, char **argv) {
  static const struct argp cache_argp = {
      .parser = parse_cache,
      .args_doc = "[show|clear]",
      .doc = "Shows or empties the cache of built programs and tunings. `tconv3d tune --export FILE` keeps the tunings."};
  enum cache_action action = CACHE_SHOW;
  struct fault fault = {0};
  bool done = command_parse(&cache_argp, argc, argv, &action, &fault) && (action == CACHE_CLEAR ? clear(&fault) : show(&fault));
  return done ? EXIT_DONE : command_error(&fault);
}
