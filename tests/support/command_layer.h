/* command_layer.h: a layer as the command meets it: as options, and as files with arrays of small whole numbers, whose results
 * are exact. Every failure here ends the test through cmocka. */
#ifndef COMMAND_LAYER_H
#define COMMAND_LAYER_H

#include <tconv3d/tconv3d.h>

#include "support/launch.h"

struct command_layer {
  int64_t batch, in, out, groups, input[3], kernel[3], stride[3], padding[3], output_padding[3], dilation[3];
  int bias;
};

tconv3d_desc command_layer_desc(const struct command_layer *layer);

/* --groups, --stride and so on, all of them; no --bias. */
enum { COMMAND_OPTIONS = 400 };
void command_layer_options(const struct command_layer *layer, char text[COMMAND_OPTIONS]);

/* What `explain` says of all algorithms for an operation ("forward"), to be freed, and of one in it: what does not serve has a
 * reason. CLBlast's is chosen only by name. */
enum command_answer { COMMAND_SERVES, COMMAND_REFUSES, COMMAND_SERVES_NAMED };
char *command_candidates(const struct launch *launch, const char *operation);
enum command_answer command_answer(const char *candidates, const char *algorithm);

/* How many of the layers, or other cases, at hand are tried: each is a process or more. */
size_t command_cases(size_t at_hand);

/* A file of the scratch folder as float32, to be freed. */
void read_float(const struct launch *launch, const char *name, struct npy *array);

/* The command must make this file and no other, and print nothing. */
void command_makes(const struct launch *launch, const char *arguments, const char *name);

/* The file must have the same type, shape and bits as expected, which is freed; what: for the message. */
void assert_array(const struct launch *launch, const char *what, const char *name, struct npy *expected);

#endif
