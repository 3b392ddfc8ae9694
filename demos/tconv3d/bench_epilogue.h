/* bench_epilogue.h: the fused epilogues that `tconv3d bench` measures, by their words. */
#ifndef BENCH_EPILOGUE_H
#define BENCH_EPILOGUE_H

#include <tconv3d/tconv3d.h>

#include "files/fault.h"

/* "relu", "gelu" and so on, "affine" or "residual"; a fault lists them. */
bool parse_epilogue(const char *text, tconv3d_epilogue *epilogue, struct fault *fault);

/* Its word, "none" for none. */
const char *epilogue_word(const tconv3d_epilogue *epilogue);

/* Packs numbers, as many as there are output channels, for all that the epilogue takes for each of them. */
tconv3d_status set_epilogue_channels(const tconv3d_epilogue *epilogue, tconv3d_weights *weights, cl_command_queue queue,
                                     const tconv3d_buffer *numbers);

#endif
