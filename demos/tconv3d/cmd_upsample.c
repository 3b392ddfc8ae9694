/* cmd_upsample.c: `tconv3d upsample`: a NIfTI volume at a whole multiple of its resolution, through one transposed convolution.
 *
 * The volume passes the device in blocks of whole planes, so that neither the device nor the host needs a float32 copy of all
 * of it. All blocks have one size and share one plan: the last one reaches back over planes that are done already. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "files/output.h"
#include "files/slices.h"
#include "files/volume.h"
#include "tconv3d/command.h"
#include "tconv3d/interpolate.h"
#include "tconv3d/progress.h"

enum {
  BLOCK_BYTES = 64 << 20, /* of float32 result: enough work for any device, little enough for every device's buffers */
  ALIGNMENT = 4096        /* a page: CPU devices then work in the host's arrays themselves */
};

struct upsample_options {
  struct device_options device;
  const char *files[2]; /* IN, OUT */
  const char *png;
  int64_t factor[3];
  enum interpolation kernel;
};

/* What the blocks pass through. */
struct pipeline {
  struct interpolator interpolator;
  int64_t planes; /* of the input in a block */
  tconv3d_context *context;
  tconv3d_plan *plan;
  tconv3d_weights *weights;
  float *x, *y;
};

static error_t parse_factor(struct argp_state *state, struct upsample_options *options, const char *text) {
  static const char axes[] = "DHW";
  if (!parse_triple("--factor", text, options->factor, state_fault(state))) return EINVAL;
  for (int axis = 0; axis < 3; ++axis)
    if (options->factor[axis] < 1 || options->factor[axis] > INTERPOLATE_MAX_FACTOR)
      return parse_fault(state, "--factor: axis %c: %lld must be from 1 to %d", axes[axis], (long long)options->factor[axis],
                         INTERPOLATE_MAX_FACTOR);
  return 0;
}

static bool has_ending(const char *path, const char *ending) {
  const size_t size = strlen(path), part = strlen(ending);
  return size > part && !strcasecmp(path + size - part, ending);
}

static error_t parse_end(struct argp_state *state, const struct upsample_options *options) {
  bool gzip;
  if (state->arg_num < 2)
    return parse_fault(state, "upsample needs two files: IN.nii[.gz] OUT.nii[.gz] (%u given)", state->arg_num);
  if (!volume_path(options->files[1], &gzip))
    return parse_fault(state, "%s: the output must end in .nii or .nii.gz", options->files[1]);
  if (options->png && !has_ending(options->png, ".png")) return parse_fault(state, "--png: %s must end in .png", options->png);
  return 0;
}

static error_t parse_upsample(int key, char *arg, struct argp_state *state) {
  struct upsample_options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT: state->child_inputs[0] = &options->device; return 0;
  case 'f': return parse_factor(state, options, arg);
  case 'k':
    if (interpolation_find(arg, &options->kernel)) return 0;
    return parse_fault(state, "--kernel: '%s' must be nearest, linear or cubic", arg);
  case 'p': options->png = arg; return 0;
  case ARGP_KEY_ARG:
    if (state->arg_num >= 2) return parse_fault(state, "unexpected argument '%s' after IN.nii[.gz] OUT.nii[.gz]", arg);
    options->files[state->arg_num] = arg;
    return 0;
  case ARGP_KEY_END: return parse_end(state, options);
  default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option upsample_options_table[] = {
    {"factor", 'f', "F|D,H,W", 0,
     "how many times finer, 1 to 16: one number, or one an axis in the order D,H,W, which is the file's z,y,x (default 2)", 0},
    {"kernel", 'k', "KERNEL", 0, "nearest, linear (default) or cubic (Keys' a = -0.5, Catmull-Rom; may overshoot at edges)", 0},
    {"png", 'p', "SLICES.png", 0,
     "also draw the middle axial, coronal and sagittal slices of the result (of its first volume), in radiological view: the "
     "patient's right "
     "and front on the left; grey values from percentile 1 to 99.5",
     0},
    {0}};
static const struct argp_child upsample_children[] = {{.argp = &device_argp}, {0}};
static const struct argp upsample_argp = {
    .options = upsample_options_table,
    .parser = parse_upsample,
    .args_doc = "IN.nii[.gz] OUT.nii[.gz]",
    .doc = "Refines a NIfTI volume by a whole factor through a transposed convolution. Every voxel is divided into equal "
           "parts, which stay "
           "where the voxel was: spacing, sform and qform follow. A volume with more axes (time, channels) is refined volume "
           "by volume. "
           "The result has the input's data type and scaling: sums are float32 over the stored values, rounded to the nearest "
           "integer and "
           "clamped for integer types; integers beyond 2^24 and float64 keep float32's 24 bits. Beyond the faces the nearest "
           "voxel is "
           "repeated, so the border is not darkened. NIfTI-1 becomes NIfTI-2 when a side grows past 32767; header extensions "
           "are dropped.",
    .children = upsample_children,
};

/* As many planes as make a block of the intended size. */
static int64_t choose_planes(const struct volume *in, const struct volume *out, uint64_t max_buffer_bytes,
                             const int64_t factor[3]) {
  const int64_t quarter = (int64_t)(max_buffer_bytes / 4 < BLOCK_BYTES ? max_buffer_bytes / 4 : BLOCK_BYTES);
  const int64_t per_plane = out->voxels / in->size[0] / factor[0] * factor[0] * (int64_t)sizeof(float);
  const int64_t planes = per_plane > 0 ? quarter / per_plane : quarter;
  return planes < 1 ? 1 : planes < in->size[0] ? planes : in->size[0];
}

static float *make_floats(int64_t count) {
  int64_t bytes;
  if (__builtin_mul_overflow(count, (int64_t)sizeof(float), &bytes) || bytes > INT64_MAX - ALIGNMENT) return NULL;
  return aligned_alloc(ALIGNMENT, (size_t)((bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT));
}

static bool make_blocks(struct pipeline *pipeline, struct fault *fault) {
  tconv3d_plan_info info;
  const tconv3d_status status = tconv3d_plan_query(pipeline->plan, &info);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  pipeline->x = make_floats((int64_t)(info.x_bytes / sizeof(float)));
  pipeline->y = make_floats((int64_t)(info.y_bytes / sizeof(float)));
  if (pipeline->x && pipeline->y) return true;
  return fault_set(fault, EXIT_OTHER, "not enough memory for a block of %llu bytes",
                   (unsigned long long)(info.x_bytes + info.y_bytes));
}

static void report(const tconv3d_device_info *device, const struct pipeline *pipeline) {
  const char *text = tconv3d_plan_explain(pipeline->plan);
  const size_t length = strlen(text);
  fprintf(stderr, "device %u:%u %s (%s), blocks of %lld planes\n%s%s", device->platform_index, device->device_index,
          device->name, device->platform_name, (long long)pipeline->planes, text,
          length && text[length - 1] != '\n' ? "\n" : "");
}

static bool pipeline_open(struct pipeline *pipeline, const struct upsample_options *options, const struct volume *in,
                          const struct volume *out, struct fault *fault) {
  tconv3d_device_info device;
  tconv3d_plan_options plan_options = TCONV3D_PLAN_OPTIONS_INIT;
  plan_options.algorithm = options->device.algorithm;
  if (!open_context(&options->device, &pipeline->context, &device, fault)) return false;
  pipeline->planes = choose_planes(in, out, device.max_buffer_bytes, options->factor);
  const int64_t block[3] = {pipeline->planes, in->size[1], in->size[2]};
  if (!interpolator_make(&pipeline->interpolator, options->kernel, options->factor, block, fault)) return false;
  tconv3d_status status = tconv3d_plan_create(pipeline->context, &pipeline->interpolator.desc, &plan_options, &pipeline->plan);
  if (status == TCONV3D_OK)
    status = tconv3d_weights_create_host(pipeline->plan, pipeline->interpolator.weight, NULL, &pipeline->weights);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  if (options->device.verbose) report(&device, pipeline);
  return make_blocks(pipeline, fault);
}

static void pipeline_close(struct pipeline *pipeline) {
  tconv3d_weights_destroy(pipeline->weights);
  tconv3d_plan_destroy(pipeline->plan);
  tconv3d_context_destroy(pipeline->context);
  interpolator_free(&pipeline->interpolator);
  free(pipeline->x);
  free(pipeline->y);
}

static bool run_block(const struct pipeline *pipeline, const struct volume *in, int64_t index, int64_t first,
                      struct volume *out, struct fault *fault) {
  const int64_t factor = pipeline->interpolator.factor[0], plane = out->size[1] * out->size[2];
  interpolator_gather(&pipeline->interpolator, in, index, first, pipeline->x);
  const tconv3d_status status = tconv3d_run(pipeline->plan, pipeline->weights, pipeline->x, pipeline->y);
  if (status != TCONV3D_OK) return fault_from_status(fault, status);
  volume_store(out, index * out->voxels + first * factor * plane, pipeline->planes * factor * plane, pipeline->y);
  return true;
}

static bool run_blocks(const struct pipeline *pipeline, const struct volume *in, struct volume *out, struct fault *fault) {
  const int64_t planes = pipeline->planes, depth = in->size[0];
  struct progress progress;
  bool done = true;
  progress_start(&progress, in->count * ((depth + planes - 1) / planes), "upsample");
  for (int64_t index = 0; done && index < in->count; ++index)
    for (int64_t first = 0; done && first < depth; first += planes) {
      done = run_block(pipeline, in, index, first + planes <= depth ? first : depth - planes, out, fault);
      progress_step(&progress, 1);
    }
  progress_end(&progress);
  return done;
}

static bool upsample(const struct upsample_options *options, const struct volume *in, struct volume *out, struct fault *fault) {
  struct pipeline pipeline = {.planes = 0};
  const bool done = pipeline_open(&pipeline, options, in, out, fault) && run_blocks(&pipeline, in, out, fault);
  pipeline_close(&pipeline);
  return done;
}

/* Both files are complete before either gets its name. */
static bool write_outputs(const struct upsample_options *options, const struct volume *volume, struct output *nifti,
                          struct output *png, struct fault *fault) {
  bool gzip;
  volume_path(options->files[1], &gzip);
  const struct slices slices = {.volume = volume};
  return (!options->png || slices_write(&slices, png->stream, options->png, fault)) &&
         volume_write(volume, nifti->stream, gzip, options->files[1], fault) && (!options->png || output_commit(png, fault)) &&
         output_commit(nifti, fault);
}

int cmd_upsample(int argc, char **argv) {
  struct upsample_options options = {.factor = {2, 2, 2}, .kernel = INTERPOLATE_LINEAR};
  struct fault fault = {0};
  struct volume in = {.data = NULL}, out = {.data = NULL};
  struct volume_header header;
  struct output nifti = {.stream = NULL}, png = {.stream = NULL};
  const bool done = command_parse(&upsample_argp, argc, argv, &options, &fault) && volume_read(options.files[0], &in, &fault) &&
                    interpolate_header(&in.header, options.factor, &header, &fault) && volume_make(&out, &header, &fault) &&
                    output_open(&nifti, options.files[1], &fault) && (!options.png || output_open(&png, options.png, &fault)) &&
                    upsample(&options, &in, &out, &fault) && write_outputs(&options, &out, &nifti, &png, &fault);
  output_abandon(&nifti);
  output_abandon(&png);
  volume_free(&in);
  volume_free(&out);
  return done ? EXIT_DONE : command_error(&fault);
}
