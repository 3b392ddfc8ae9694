/* test_upsample.c: upsampling does what interpolation promises (through the plain-C layer, on any machine), and `tconv3d
 * upsample` does it to whole files (skipped without a device). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tconv3d/layer.h>

#include "files/volume.h"
#include "support/launch.h"
#include "tconv3d/interpolate.h"

static const struct launch *upsampler;

static int set_up(void **state) {
  const int status = launch_set_up(state);
  upsampler = *state;
  return status;
}

static const char *const kernel_names[] = {"nearest", "linear", "cubic"};
static const int64_t factors[][3] = {{1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {1, 2, 5}, {4, 1, 3}, {2, 8, 1}};
enum { FACTORS = sizeof factors / sizeof *factors };

static int64_t product(const int64_t v[3]) {
  return v[0] * v[1] * v[2];
}

/* A float32 volume whose voxels the test fills in. */
static struct volume make_volume(enum volume_type type, const int64_t size[3], int64_t count) {
  const struct volume_header header = {.version = 1,
                                       .dim = {4, size[2], size[1], size[0], count, 1, 1, 1},
                                       .datatype = volume_type_code(type),
                                       .pixdim = {1, 1, 1, 1, 1}};
  struct volume volume;
  struct fault fault = {0};
  if (!volume_make(&volume, &header, &fault)) fail_msg("%s", fault.text);
  return volume;
}

/* The whole volume through the plain-C layer, in blocks of the given planes; to be freed. */
static float *refine(const struct volume *volume, enum interpolation kind, const int64_t factor[3], int64_t planes) {
  const int64_t block[3] = {planes, volume->size[1], volume->size[2]};
  struct interpolator interpolator;
  struct fault fault = {0};
  int64_t shape[5];
  if (!interpolator_make(&interpolator, kind, factor, block, &fault)) fail_msg("%s", fault.text);
  assert_int_equal(tconv3d_output_shape(&interpolator.desc, shape), TCONV3D_OK);
  for (int axis = 0; axis < 3; ++axis) assert_int_equal(shape[axis + 2], block[axis] * factor[axis]);
  float *x = malloc((size_t)product(interpolator.desc.input_size) * sizeof *x);
  float *y = malloc((size_t)(volume->voxels * product(factor)) * sizeof *y);
  assert_true(x && y);
  for (int64_t first = 0; first < volume->size[0]; first += planes) {
    const int64_t from = first + planes <= volume->size[0] ? first : volume->size[0] - planes;
    interpolator_gather(&interpolator, volume, 0, from, x);
    float *to = y + from * volume->size[1] * volume->size[2] * product(factor);
    assert_int_equal(tconv3d_reference_forward(&interpolator.desc, x, interpolator.weight, NULL, to), TCONV3D_OK);
  }
  interpolator_free(&interpolator);
  free(x);
  return y;
}

/* The input coordinate of result voxel o. */
static double source(int64_t o, int64_t factor) {
  return ((double)o + 0.5) / (double)factor - 0.5;
}

static void weights_that_meet_in_a_voxel_sum_to_1(void **state) {
  (void)state;
  for (int kind = INTERPOLATE_NEAREST; kind <= INTERPOLATE_CUBIC; ++kind)
    for (int64_t factor = 1; factor <= INTERPOLATE_MAX_FACTOR; ++factor) {
      struct axis_taps axis;
      interpolate_axis((enum interpolation)kind, factor, &axis);
      assert_true(axis.taps <= INTERPOLATE_MAX_TAPS);
      for (int64_t residue = 0; residue < factor; ++residue) {
        double sum = 0;
        for (int64_t k = residue; k < axis.taps; k += factor) sum += axis.weight[k];
        assert_true(fabs(sum - 1) < 1e-14);
      }
    }
}

static void a_constant_volume_stays_constant_to_its_border(void **state) {
  (void)state;
  const int64_t sizes[][3] = {{3, 4, 2}, {1, 1, 1}, {1, 3, 1}};
  for (int kind = INTERPOLATE_NEAREST; kind <= INTERPOLATE_CUBIC; ++kind)
    for (int f = 0; f < FACTORS; ++f)
      for (int s = 0; s < 3; ++s) {
        struct volume volume = make_volume(VOLUME_F32, sizes[s], 1);
        for (int64_t i = 0; i < volume.voxels; ++i) ((float *)volume.data)[i] = 113.7F;
        float *y = refine(&volume, (enum interpolation)kind, factors[f], sizes[s][0]);
        for (int64_t i = 0; i < volume.voxels * product(factors[f]); ++i) assert_true(fabsf(y[i] - 113.7F) < 113.7F * 1e-6F);
        free(y);
        volume_free(&volume);
      }
}

static void nearest_repeats_every_voxel_exactly(void **state) {
  (void)state;
  const int64_t size[3] = {3, 2, 4};
  for (int f = 0; f < FACTORS; ++f) {
    const int64_t *factor = factors[f];
    struct volume volume = make_volume(VOLUME_F32, size, 1);
    float *values = volume.data;
    for (int64_t i = 0; i < volume.voxels; ++i) values[i] = (float)sin((double)i);
    values[5] = NAN, values[9] = INFINITY;
    float *y = refine(&volume, INTERPOLATE_NEAREST, factor, 3), *next = y;
    for (int64_t d = 0; d < size[0] * factor[0]; ++d)
      for (int64_t h = 0; h < size[1] * factor[1]; ++h)
        for (int64_t w = 0; w < size[2] * factor[2]; ++w, ++next) {
          const float expected = values[(d / factor[0] * size[1] + h / factor[1]) * size[2] + w / factor[2]];
          assert_true(*next == expected || (isnan(*next) && isnan(expected)));
        }
    free(y);
    volume_free(&volume);
  }
}

/* What a kernel of that degree must reproduce wherever it does not reach past the border. */
static double polynomial(enum interpolation kind, double d, double h, double w) {
  const double ramp = 2 * d - 3 * h + 0.5 * w + 10;
  return kind == INTERPOLATE_LINEAR ? ramp : ramp + d * d - 0.5 * h * h + 2 * w * w + d * h - h * w;
}

static bool is_inside(double at, int64_t size, int64_t reach) {
  return at >= (double)(reach - 1) && at <= (double)(size - reach);
}

static void linear_reproduces_ramps_and_cubic_quadratics(void **state) {
  (void)state;
  const int64_t size[3] = {6, 5, 7};
  for (int kind = INTERPOLATE_LINEAR; kind <= INTERPOLATE_CUBIC; ++kind)
    for (int f = 0; f < FACTORS; ++f) {
      const int64_t *factor = factors[f];
      struct volume volume = make_volume(VOLUME_F32, size, 1);
      float *to = volume.data;
      for (int64_t d = 0; d < size[0]; ++d)
        for (int64_t h = 0; h < size[1]; ++h)
          for (int64_t w = 0; w < size[2]; ++w)
            *to++ = (float)polynomial((enum interpolation)kind, (double)d, (double)h, (double)w);
      float *y = refine(&volume, (enum interpolation)kind, factor, 4), *next = y; /* two blocks that overlap */
      for (int64_t d = 0; d < size[0] * factor[0]; ++d)
        for (int64_t h = 0; h < size[1] * factor[1]; ++h)
          for (int64_t w = 0; w < size[2] * factor[2]; ++w, ++next) {
            const double at[3] = {source(d, factor[0]), source(h, factor[1]), source(w, factor[2])};
            if (!is_inside(at[0], size[0], kind) || !is_inside(at[1], size[1], kind) || !is_inside(at[2], size[2], kind))
              continue;
            assert_true(fabs((double)*next - polynomial((enum interpolation)kind, at[0], at[1], at[2])) < 2e-4);
          }
      free(y);
      volume_free(&volume);
    }
}

/* World coordinates of a voxel by either of the header's ways. */
static void to_world(const struct volume_header *header, bool sform, const double at[3], double world[3]) {
  double affine[3][4];
  struct volume_header one = *header;
  one.sform_code = sform;
  one.qform_code = !sform;
  assert_true(volume_affine(&one, affine));
  for (int row = 0; row < 3; ++row)
    world[row] = affine[row][0] * at[0] + affine[row][1] * at[1] + affine[row][2] * at[2] + affine[row][3];
}

static void world_coordinates_stay_where_they_were(void **state) {
  (void)state;
  const struct volume_header from = {.version = 1,
                                     .dim = {3, 9, 7, 5, 1, 1, 1, 1},
                                     .pixdim = {-1, 1.5, 0.75, 2.5},
                                     .qform_code = 1,
                                     .sform_code = 2,
                                     .quatern = {0.3, -0.5, 0.2},
                                     .qoffset = {-90, 12.5, 33},
                                     .srow = {{1.25, 0.5, -0.25, -90}, {-0.5, 0.75, 1, 120}, {0.25, 0, 2, -71}},
                                     .descrip = "kept"};
  for (int f = 0; f < FACTORS; ++f) {
    struct volume_header to;
    struct fault fault = {0};
    assert_true(interpolate_header(&from, factors[f], &to, &fault));
    for (int corner = 0; corner < 9; ++corner) /* the eight outer corners of the volume and its centre */
      for (int sform = 0; sform < 2; ++sform) {
        double in[3], out[3], before[3], after[3];
        for (int axis = 0; axis < 3; ++axis) {
          const int64_t factor = factors[f][2 - axis];
          assert_int_equal(to.dim[axis + 1], from.dim[axis + 1] * factor);
          const double part = corner == 8 ? 0.5 : (double)(corner >> axis & 1);
          in[axis] = part * (double)from.dim[axis + 1] - 0.5;
          out[axis] = part * (double)to.dim[axis + 1] - 0.5;
        }
        to_world(&from, sform, in, before);
        to_world(&to, sform, out, after);
        for (int axis = 0; axis < 3; ++axis) assert_true(fabs(before[axis] - after[axis]) < 1e-11);
      }
    assert_true(to.qform_code == 1 && to.sform_code == 2 && to.pixdim[0] < 0);
    assert_memory_equal(to.quatern, from.quatern, sizeof to.quatern);
    assert_string_equal(to.descrip, "kept");
  }
}

static void slice_timing_survives_where_slices_do(void **state) {
  (void)state;
  const struct volume_header from = {.version = 1,
                                     .dim = {3, 4, 4, 4, 1, 1, 1, 1},
                                     .dim_info = 3 << 4,
                                     .slice_code = 1,
                                     .slice_end = 3,
                                     .slice_duration = 0.1};
  static const int64_t in_plane[3] = {1, 2, 2}, through_plane[3] = {2, 1, 1};
  struct volume_header to;
  struct fault fault = {0};
  assert_true(interpolate_header(&from, in_plane, &to, &fault));
  assert_true(to.slice_code == 1 && to.slice_end == 3 && to.slice_duration == 0.1 && to.dim_info == 3 << 4);
  assert_true(interpolate_header(&from, through_plane, &to, &fault));
  assert_true(to.slice_code == 0 && to.slice_end == 0 && to.slice_duration == 0);
}

/* ---- the command ---- */

#define NEEDS_DEVICE() \
  if (!upsampler->has_device) skip()

static void save(const struct volume *volume, const char *name) {
  char path[SCRATCH_PATH];
  struct fault fault = {0};
  if (!volume_save(volume, scratch_path(&upsampler->scratch, name, path), &fault)) fail_msg("%s", fault.text);
}

static struct volume run_upsample(const char *arguments, const char *out) {
  char path[SCRATCH_PATH];
  struct process_result result;
  struct volume volume;
  struct fault fault = {0};
  launch_done(upsampler, AS_THEY_ARE, arguments, &result);
  assert_int_equal(result.out_bytes, 0);
  process_free(&result);
  if (!volume_read(scratch_path(&upsampler->scratch, out, path), &volume, &fault)) fail_msg("%s", fault.text);
  return volume;
}

static void the_command_refines_every_kernel_as_the_plain_layer(void **state) {
  (void)state;
  NEEDS_DEVICE();
  const int64_t size[3] = {4, 5, 3};
  struct volume volume = make_volume(VOLUME_F32, size, 1);
  for (int64_t i = 0; i < volume.voxels; ++i) ((float *)volume.data)[i] = (float)(100 * sin((double)(i * i)));
  save(&volume, "in.nii");
  for (int f = 0; f < FACTORS; ++f)
    for (int kind = INTERPOLATE_NEAREST; kind <= INTERPOLATE_CUBIC; ++kind) {
      char arguments[200];
      const int64_t *factor = factors[f];
      snprintf(arguments, sizeof arguments, "upsample in.nii out.nii.gz --factor %d,%d,%d --kernel %s", (int)factor[0],
               (int)factor[1], (int)factor[2], kernel_names[kind]);
      struct volume got = run_upsample(arguments, "out.nii.gz");
      float *expected = refine(&volume, (enum interpolation)kind, factor, size[0]);
      assert_int_equal(got.voxels, volume.voxels * product(factor));
      for (int64_t i = 0; i < got.voxels; ++i) assert_true(fabsf(((float *)got.data)[i] - expected[i]) < 1e-3F);
      free(expected);
      volume_free(&got);
    }
  volume_free(&volume);
}

static void integers_are_rounded_and_clamped_and_keep_their_type(void **state) {
  (void)state;
  NEEDS_DEVICE();
  const int64_t size[3] = {1, 1, 8};
  struct volume volume = make_volume(VOLUME_U8, size, 1);
  volume.header.scl_slope = 0.5;
  memcpy(volume.data, "\0\0\0\0\377\377\377\377", 8);
  save(&volume, "in.nii.gz");
  struct volume got = run_upsample("upsample in.nii.gz out.nii -f 1,1,2 -k cubic", "out.nii");
  /* Keys' kernel at a quarter: overshoots to -17.9 and 272.9 beside the edge, 51.8 and 203.2 on it */
  static const unsigned char expected[16] = {0, 0, 0, 0, 0, 0, 0, 52, 203, 255, 255, 255, 255, 255, 255, 255};
  assert_int_equal(got.type, VOLUME_U8);
  assert_true(got.header.scl_slope == 0.5);
  assert_memory_equal(got.data, expected, sizeof expected);
  volume_free(&got);
  volume_free(&volume);
}

static void every_volume_of_a_series_is_refined(void **state) {
  (void)state;
  NEEDS_DEVICE();
  const int64_t size[3] = {2, 3, 2};
  struct volume volume = make_volume(VOLUME_I16, size, 3);
  for (int64_t i = 0; i < volume.voxels * 3; ++i) ((int16_t *)volume.data)[i] = (int16_t)(i * 100 - 1500);
  save(&volume, "in.nii");
  struct volume got = run_upsample("upsample in.nii out.nii.gz --kernel nearest --png p.png", "out.nii.gz");
  assert_int_equal(got.count, 3);
  for (int64_t i = 0; i < got.voxels * 3; ++i) {
    const int64_t w = i % 4, h = i / 4 % 6, d = i / 24 % 4, t = i / 96;
    assert_int_equal(((int16_t *)got.data)[i], ((int16_t *)volume.data)[t * 12 + d / 2 * 6 + h / 2 * 2 + w / 2]);
  }
  size_t bytes = 0;
  char *png = scratch_read(&upsampler->scratch, "p.png", &bytes);
  assert_non_null(png);
  assert_true(bytes > 100 && !memcmp(png, "\x89PNG\r\n\x1a\n", 8));
  free(png);
  volume_free(&got);
  volume_free(&volume);
}

static void wrong_use_is_one_line_and_leaves_no_file(void **state) {
  (void)state;
  static const struct {
    const char *arguments, *words;
  } cases[] = {
      {"upsample", "two files"},
      {"upsample ok.nii", "two files"},
      {"upsample ok.nii new.nii more.nii", "unexpected|more.nii"},
      {"upsample ok.nii new.png", "new.png|.nii"},
      {"upsample ok.nii new.nii --png new.jpg", "--png|new.jpg|.png"},
      {"upsample ok.nii new.nii --factor 0", "--factor|D|0|1 to 16"},
      {"upsample ok.nii new.nii --factor 2,17,1", "--factor|H|17"},
      {"upsample ok.nii new.nii --factor 2,2", "--factor"},
      {"upsample ok.nii new.nii --factor two", "--factor|two"},
      {"upsample ok.nii new.nii --kernel sinc", "--kernel|sinc|nearest"},
      {"upsample absent.nii new.nii", "absent.nii|cannot open"},
      {"upsample bad.nii new.nii", "bad.nii|truncated"},
      {"upsample bad.hdr new.nii", "bad.hdr|pairs"},
      {"upsample ok.nii nowhere/new.nii", "nowhere/new.nii"},
      {"upsample ok.nii new.nii --png nowhere/new.png", "nowhere/new.png"},
  };
  const int64_t size[3] = {2, 2, 2};
  struct volume volume = make_volume(VOLUME_U8, size, 1);
  save(&volume, "ok.nii");
  volume_free(&volume);
  scratch_write(&upsampler->scratch, "bad.nii", "\x5c\1\0", 3);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
    launch_refused(upsampler, AS_THEY_ARE, cases[i].arguments, EXIT_WRONG_USE, cases[i].words);
  launch_refused(upsampler, NO_PLATFORM, "upsample ok.nii new.nii --png new.png", EXIT_OTHER, "");
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(weights_that_meet_in_a_voxel_sum_to_1),
      cmocka_unit_test(a_constant_volume_stays_constant_to_its_border),
      cmocka_unit_test(nearest_repeats_every_voxel_exactly),
      cmocka_unit_test(linear_reproduces_ramps_and_cubic_quadratics),
      cmocka_unit_test(world_coordinates_stay_where_they_were),
      cmocka_unit_test(slice_timing_survives_where_slices_do),
      cmocka_unit_test(the_command_refines_every_kernel_as_the_plain_layer),
      cmocka_unit_test(integers_are_rounded_and_clamped_and_keep_their_type),
      cmocka_unit_test(every_volume_of_a_series_is_refined),
      cmocka_unit_test(wrong_use_is_one_line_and_leaves_no_file),
  };
  launch_arguments(argc, argv);
  return cmocka_run_group_tests(tests, set_up, launch_tear_down);
}
