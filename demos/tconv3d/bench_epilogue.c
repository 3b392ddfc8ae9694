#include "tconv3d/bench_epilogue.h"

#include <stdio.h>
#include <string.h>

#include "tconv3d/command.h"

static const struct {
  const char *word;
  tconv3d_epilogue epilogue;
} epilogues[] = {
    {"relu", {TCONV3D_RELU, 0, 0, 0, 0}},
    {"leaky-relu", {TCONV3D_LEAKY_RELU, 0, 0.01, 0, 0}},
    {"prelu", {TCONV3D_PRELU, 0, 0, 0, 0}},
    {"elu", {TCONV3D_ELU, 0, 1, 0, 0}},
    {"silu", {TCONV3D_SILU, 0, 0, 0, 0}},
    {"gelu", {TCONV3D_GELU, 0, 0, 0, 0}},
    {"sigmoid", {TCONV3D_SIGMOID, 0, 0, 0, 0}},
    {"tanh", {TCONV3D_TANH, 0, 0, 0, 0}},
    {"clamp", {TCONV3D_CLAMP, 0, 0, 6, 0}},
    {"affine", {TCONV3D_NO_ACTIVATION, 1, 0, 0, 0}},
    {"residual", {TCONV3D_NO_ACTIVATION, 0, 0, 0, 1}},
};

bool parse_epilogue(const char *text, tconv3d_epilogue *epilogue, struct fault *fault) {
  char words[160] = "";
  for (size_t i = 0; i < sizeof epilogues / sizeof *epilogues; ++i) {
    *epilogue = epilogues[i].epilogue;
    if (!strcmp(text, epilogues[i].word)) return true;
    size_t used = strlen(words);
    snprintf(words + used, sizeof words - used, "%s%s", used ? ", " : "", epilogues[i].word);
  }
  return fault_set(fault, EXIT_WRONG_USE, "--epilogue '%s': it must be one of %s", text, words);
}

const char *epilogue_word(const tconv3d_epilogue *epilogue) {
  for (size_t i = 0; i < sizeof epilogues / sizeof *epilogues; ++i)
    if (!memcmp(epilogue, &epilogues[i].epilogue, sizeof *epilogue)) return epilogues[i].word;
  return "none";
}

tconv3d_status set_epilogue_channels(const tconv3d_epilogue *epilogue, tconv3d_weights *weights, cl_command_queue queue,
                                     const tconv3d_buffer *numbers) {
  bool slope = epilogue->activation == TCONV3D_PRELU, affine = epilogue->affine != 0;
  if (!slope && !affine) return TCONV3D_OK;
  return tconv3d_weights_set_channels(weights, queue, slope ? numbers : NULL, affine ? numbers : NULL, affine ? numbers : NULL,
                                      0, NULL, NULL);
}
