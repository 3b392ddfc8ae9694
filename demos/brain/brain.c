/* brain.c: the transposed convolutions of a trained brain-extraction network on their real inputs: each is timed and its result
 * checked, the last one gives the brain's mask in a head MRI, which is compared with the network's own, written and drawn. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "brain/layers.h"
#include "brain/mask.h"
#include "files/output.h"
#include "tconv3d/command.h"

/* Half a unit of the list's seven digits is up to 5e-7 of a sum, and float32 sums of some hundred products are off by less. */
static const double sum_tolerance = 2e-6;
/* So near 0.5 lie a few voxels that the order of float32 sums decides them. */
enum { MOST_DIFFERING = 5, PATH_BYTES = 4096 };

struct brain_options {
  struct device_options device;
  const char *data, *out;
};

static error_t parse_brain(int key, char *arg, struct argp_state *state) {
  struct brain_options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = &options->device; return 0;
  case 'D': options->data = arg; return 0;
  case 'o': options->out = arg; return 0;
  case ARGP_KEY_ARG: return parse_fault(state, "unexpected argument '%s'", arg);
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option brain_options_table[] = {
    {"data", 'D', "DIR", 0, "where brain/layers.txt and its files lie (default: beside the demo's source)", 0},
    {"out", 'o', "DIR", 0, "where mask.nii.gz and brain.png go (default: here)", 0},
    {0}};
static const struct argp_child brain_children[] = {{.argp = &device_argp}, {0}};
static const struct argp brain_argp = {
    .options = brain_options_table,
    .parser = parse_brain,
    .doc = "Runs the six transposed convolutions of a trained brain-extraction network on a head MRI's real activations, "
           "checks and times "
           "them, and writes the mask that they give, mask.nii.gz, and a picture of it, brain.png (radiological view).",
    .children = brain_children,
};

static bool join(const char *dir, const char *name, char path[PATH_BYTES], struct fault *fault) {
  const int length = snprintf(path, PATH_BYTES, "%s/%s", dir, name);
  return length < PATH_BYTES || fault_set(fault, EXIT_WRONG_USE, "%.64s...: the path is too long", dir);
}

static const char *shape_text(char text[64], int64_t channels, const int64_t size[3]) {
  snprintf(text, 64, "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64, channels, size[0], size[1], size[2]);
  return text;
}

static void print_row(const struct layer *layer, const struct measurement *m) {
  char in[64], out[64];
  shape_text(in, layer->desc.in_channels, layer->desc.input_size);
  shape_text(out, layer->output[1], layer->output + 2);
  printf("%-9s  %-12s -> %-14s  %-8s  %8.3f  %8.2f  %s (%.1e)\n", layer->name, in, out, m->algorithm, m->seconds * 1e3,
         m->gflops, m->off <= sum_tolerance ? "ok" : "WRONG", m->off);
}

/* Runs every layer; y is the last one's result. */
static bool run_layers(const struct brain_options *options, const char *dir, struct npy *y, int64_t *mask_voxels,
                       struct fault *fault) {
  struct layers layers;
  struct measurement measurement;
  tconv3d_context *context = NULL;
  tconv3d_device_info device;
  if (!layers_read(dir, &layers, fault) || !open_context(&options->device, &context, &device, fault)) return false;
  printf("device: %s (%s)\n", device.name, device.platform_name);
  printf("%-9s  %-12s    %-14s  %-8s  %8s  %8s  %s\n", "layer", "input", "output", "algo", "ms", "GFLOP/s", "sums (off by)");
  bool done = true, right = true;
  for (int i = 0; done && i < layers.count; ++i) {
    npy_free(y);
    done = layer_run(&layers.list[i], dir, context, &options->device, y, &measurement, fault);
    if (!done) break;
    print_row(&layers.list[i], &measurement);
    right = right && measurement.off <= sum_tolerance;
  }
  tconv3d_context_destroy(context);
  *mask_voxels = layers.mask_voxels;
  return done && (right || fault_set(fault, EXIT_OTHER, "a layer's sums are wrong by more than %.0e of sum|y|", sum_tolerance));
}

static bool check_mask(const struct volume *mask, int64_t voxels, int64_t expected_voxels, const char *expected,
                       struct fault *fault) {
  int64_t differing;
  if (!mask_compare(mask, expected, &differing, fault)) return false;
  printf("mask: %" PRId64 " voxels, expected %" PRId64 "; %" PRId64 " differ from the network's own mask\n", voxels,
         expected_voxels, differing);
  const int64_t off = voxels > expected_voxels ? voxels - expected_voxels : expected_voxels - voxels;
  if (differing <= MOST_DIFFERING && off <= MOST_DIFFERING) return true;
  return fault_set(fault, EXIT_OTHER, "the mask differs in %" PRId64 " voxels (%" PRId64 " expected in it), at most %d may",
                   differing, expected_voxels, MOST_DIFFERING);
}

/* The outputs, opened before the work and named after it. */
struct results {
  char mask_path[PATH_BYTES], picture_path[PATH_BYTES];
  struct output mask, picture;
};

static bool open_results(const char *out, struct results *results, struct fault *fault) {
  return join(out, "mask.nii.gz", results->mask_path, fault) && join(out, "brain.png", results->picture_path, fault) &&
         output_open(&results->mask, results->mask_path, fault) && output_open(&results->picture, results->picture_path, fault);
}

static bool write_results(const struct volume *mask, const struct volume *head, struct results *results, struct fault *fault) {
  const bool done = volume_write(mask, results->mask.stream, true, results->mask_path, fault) &&
                    mask_draw(mask, head, results->picture.stream, results->picture_path, fault) &&
                    output_commit(&results->mask, fault) && output_commit(&results->picture, fault);
  if (done) printf("wrote %s and %s\n", results->mask_path, results->picture_path);
  return done;
}

static bool extract_brain(const struct brain_options *options, struct results *results, struct fault *fault) {
  char dir[PATH_BYTES], head_path[PATH_BYTES], expected_path[PATH_BYTES];
  struct npy y = {.data = NULL};
  struct volume head = {.data = NULL}, mask = {.data = NULL};
  int64_t expected_voxels, voxels;
  const bool done = join(options->data, "brain", dir, fault) && join(dir, "t1_128.nii.gz", head_path, fault) &&
                    join(dir, "expected_mask.nii.gz", expected_path, fault) && volume_read(head_path, &head, fault) &&
                    run_layers(options, dir, &y, &expected_voxels, fault) && mask_make(&y, &head, &mask, &voxels, fault) &&
                    check_mask(&mask, voxels, expected_voxels, expected_path, fault) &&
                    write_results(&mask, &head, results, fault);
  npy_free(&y);
  volume_free(&head);
  volume_free(&mask);
  return done;
}

int main(int argc, char **argv) {
  struct brain_options options = {.data = DEMO_DATA_DIR, .out = "."};
  struct results results = {.mask = {.stream = NULL}};
  struct fault fault = {0};
  const bool done = command_parse(&brain_argp, argc, argv, &options, &fault) && open_results(options.out, &results, &fault) &&
                    extract_brain(&options, &results, &fault);
  output_abandon(&results.mask);
  output_abandon(&results.picture);
  if (done) return EXIT_DONE;
  fprintf(stderr, "brain: error: %s\n", fault.text);
  return fault.exit_code;
}
