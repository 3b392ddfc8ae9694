/* test_volume.c: NIfTI files as they come: every type, both byte orders, both versions, and files that lie. The files are put
 * together here by the standard's offsets, apart from the code that reads and writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "files/volume.h"
#include "support/scratch.h"

static const struct scratch *scratch;
static char path_plain[SCRATCH_PATH], path_gzip[SCRATCH_PATH];
static const char plain[] = "a.nii", gzip[] = "a.nii.gz";

static int set_up(void **state) {
  scratch_set_up(state);
  scratch = *state;
  scratch_path(scratch, plain, path_plain);
  scratch_path(scratch, gzip, path_gzip);
  return 0;
}

/* A file of 4 x 3 x 2 voxels (x, y, z) in memory. */
enum { VOXELS = 24, MOST_BYTES = 544 + VOXELS * 8 };
struct image {
  int version;
  bool big;
  size_t size;
  unsigned char bytes[MOST_BYTES];
};

static void put(struct image *image, size_t offset, int size, uint64_t value) {
  for (int i = 0; i < size; ++i)
    image->bytes[offset + (size_t)(image->big ? size - 1 - i : i)] = (unsigned char)(value >> 8 * i);
}

static void put_real(struct image *image, size_t offset, int size, double real) {
  const float single = (float)real;
  uint32_t word;
  uint64_t bits;
  memcpy(&word, &single, sizeof word);
  memcpy(&bits, &real, sizeof bits);
  put(image, offset, size, size == 4 ? word : bits);
}

/* One field that both versions have, at its two offsets and sizes. */
struct spot {
  size_t offset[2];
  int size[2];
};
static const struct spot DIM0 = {{40, 16}, {2, 8}}, DIM1 = {{42, 24}, {2, 8}}, DIM2 = {{44, 32}, {2, 8}},
                         DIM3 = {{46, 40}, {2, 8}};
static const struct spot DATATYPE = {{70, 12}, {2, 2}}, BITPIX = {{72, 14}, {2, 2}}, SIZEOF = {{0, 0}, {4, 4}};
static const struct spot SLOPE = {{112, 176}, {4, 8}}, INTER = {{116, 184}, {4, 8}};

static void set(struct image *image, struct spot spot, int64_t value) {
  put(image, spot.offset[image->version - 1], spot.size[image->version - 1], (uint64_t)value);
}

static void set_offset(struct image *image, double value) {
  if (image->version == 1)
    put_real(image, 108, 4, value);
  else
    put(image, 168, 8, (uint64_t)(int64_t)value);
}

/* The value of voxel i in every type: negative where the type can be. */
static double voxel_value(enum volume_type type, int i) {
  const bool is_signed =
      type == VOLUME_I8 || type == VOLUME_I16 || type == VOLUME_I32 || type == VOLUME_I64 || type >= VOLUME_F32;
  const double step = type >= VOLUME_F32 ? 2.25 : 5;
  return is_signed ? step * (i - 12) : step * i;
}

static struct image make_image(int version, bool big, enum volume_type type) {
  struct image image = {.version = version, .big = big};
  const int size = (int)volume_type_size(type);
  const size_t start = version == 1 ? 352 : 544;
  set(&image, SIZEOF, version == 1 ? 348 : 540);
  memcpy(image.bytes + (version == 1 ? 344 : 4), version == 1 ? "n+1\0" : "n+2\0\r\n\032\n", version == 1 ? 4 : 8);
  set(&image, DIM0, 3), set(&image, DIM1, 4), set(&image, DIM2, 3), set(&image, DIM3, 2);
  set(&image, DATATYPE, volume_type_code(type)), set(&image, BITPIX, 8 * size);
  set_offset(&image, (double)start);
  for (int i = 0; i < VOXELS; ++i) {
    const double value = voxel_value(type, i);
    if (type >= VOLUME_F32)
      put_real(&image, start + (size_t)(i * size), size, value);
    else
      put(&image, start + (size_t)(i * size), size, (uint64_t)(int64_t)value);
  }
  image.size = start + (size_t)(VOXELS * size);
  return image;
}

static void write_gzip(const void *bytes, size_t size) {
  gzFile file = gzopen(path_gzip, "wb");
  assert_non_null(file);
  assert_int_equal(gzwrite(file, bytes, (unsigned)size), size);
  assert_int_equal(gzclose(file), Z_OK);
}

static bool read_image(const struct image *image, bool compressed, struct volume *volume, struct fault *fault) {
  if (compressed)
    write_gzip(image->bytes, image->size);
  else
    scratch_write(scratch, plain, image->bytes, image->size);
  return volume_read(compressed ? path_gzip : path_plain, volume, fault);
}

/* The file at path is refused with exit code 2 and one line in which word occurs. */
static void assert_refused(const char *path, const char *word) {
  struct volume volume;
  struct fault fault = {.exit_code = EXIT_DONE};
  if (volume_read(path, &volume, &fault)) fail_msg("read, should be refused with '%s'", word);
  assert_int_equal(fault.exit_code, EXIT_WRONG_USE);
  assert_null(volume.data);
  if (!strstr(fault.text, word) || strchr(fault.text, '\n')) fail_msg("'%s' should say '%s' in one line", fault.text, word);
}

static void refuse_image(const struct image *image, const char *word) {
  scratch_write(scratch, plain, image->bytes, image->size);
  assert_refused(path_plain, word);
}

static void every_type_order_version_and_compression_is_read(void **state) {
  (void)state;
  for (int variant = 0; variant < 8; ++variant)
    for (int type = 0; type < VOLUME_TYPE_COUNT; ++type) {
      const struct image image = make_image(1 + variant % 2, variant / 2 % 2, (enum volume_type)type);
      struct volume volume;
      struct fault fault = {0};
      float values[VOXELS];
      if (!read_image(&image, variant / 4, &volume, &fault)) fail_msg("%s", fault.text);
      assert_true(volume.size[0] == 2 && volume.size[1] == 3 && volume.size[2] == 4 && volume.count == 1);
      assert_int_equal(volume.type, type);
      volume_load(&volume, 0, VOXELS, values);
      for (int i = 0; i < VOXELS; ++i) assert_true((double)values[i] == voxel_value((enum volume_type)type, i));
      volume_free(&volume);
    }
}

static void a_saved_volume_is_read_back_the_same(void **state) {
  (void)state;
  for (int variant = 0; variant < 4; ++variant)
    for (int type = 0; type < VOLUME_TYPE_COUNT; ++type) {
      struct volume_header header = {.version = 1 + variant % 2,
                                     .dim = {4, 5, 4, 3, 2, 1, 1, 1},
                                     .datatype = volume_type_code((enum volume_type)type),
                                     .pixdim = {-1, 0.5, 0.25, 3, 2},
                                     .scl_slope = 0.5,
                                     .scl_inter = -3,
                                     .qform_code = 1,
                                     .sform_code = 4,
                                     .quatern = {0.5, 0.25, 0.125},
                                     .qoffset = {1, 2, 3},
                                     .srow = {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}},
                                     .dim_info = 0x39,
                                     .xyzt_units = 10,
                                     .intent_code = 1001,
                                     .intent_p = {7, 8, 9},
                                     .cal_max = 100,
                                     .toffset = 4,
                                     .descrip = "a description",
                                     .intent_name = "intent"};
      const char *path = variant / 2 ? path_gzip : path_plain;
      struct volume made, read;
      struct fault fault = {0};
      float values[120];
      for (int i = 0; i < 120; ++i) values[i] = (float)(i % 7);
      assert_true(volume_make(&made, &header, &fault));
      volume_store(&made, 0, 120, values);
      if (!volume_save(&made, path, &fault)) fail_msg("%s", fault.text);
      if (!volume_read(path, &read, &fault)) fail_msg("%s", fault.text);
      assert_memory_equal(&made.header, &read.header, sizeof made.header);
      assert_int_equal(read.count, 2);
      assert_memory_equal(made.data, read.data, 120 * volume_type_size((enum volume_type)type));
      volume_free(&made);
      volume_free(&read);
    }
  assert_int_equal(scratch_count(scratch), 2); /* the two files, and nothing beside them */
}

static void a_side_past_32767_makes_version_2(void **state) {
  (void)state;
  struct volume_header header = {.version = 1, .dim = {3, 40000, 1, 1}, .datatype = 2};
  struct volume volume;
  struct fault fault = {0};
  assert_true(volume_make(&volume, &header, &fault));
  assert_true(volume_save(&volume, path_gzip, &fault));
  volume_free(&volume);
  assert_true(volume_read(path_gzip, &volume, &fault));
  assert_int_equal(volume.header.version, 2);
  assert_int_equal(volume.size[2], 40000);
  volume_free(&volume);
}

static void stored_values_are_rounded_to_nearest_and_clamped(void **state) {
  (void)state;
  static const float values[] = {-1e30F, -0.6F, 0.5F, 1.5F, 254.6F, 1e30F, NAN, INFINITY};
  static const float bytes[] = {0, 0, 0, 2, 255, 255, 0, 255};
  static const float shorts[] = {-32768, -1, 0, 2, 255, 32767, 0, 32767};
  for (int type = 0; type < VOLUME_F32; ++type) {
    const struct volume_header header = {.version = 1, .dim = {1, 8}, .datatype = volume_type_code((enum volume_type)type)};
    struct volume volume;
    struct fault fault = {0};
    float got[8];
    struct volume_header whole = header;
    for (int i = 2; i < 8; ++i) whole.dim[i] = 1;
    assert_true(volume_make(&volume, &whole, &fault));
    volume_store(&volume, 0, 8, values);
    volume_load(&volume, 0, 8, got);
    if (type == VOLUME_U8) assert_memory_equal(got, bytes, sizeof got);
    if (type == VOLUME_I16) assert_memory_equal(got, shorts, sizeof got);
    if (type == VOLUME_I64) assert_true(((int64_t *)volume.data)[5] == INT64_MAX && ((int64_t *)volume.data)[0] == INT64_MIN);
    if (type == VOLUME_U64) assert_true(((uint64_t *)volume.data)[5] == UINT64_MAX && ((uint64_t *)volume.data)[0] == 0);
    volume_free(&volume);
  }
}

static void scaling_is_used_where_it_is_sensible(void **state) {
  (void)state;
  const struct {
    double slope, inter, expected_slope, expected_inter;
  } cases[] = {{2, 3, 2, 3}, {0, 3, 1, 0}, {NAN, 0, 1, 0}, {2, INFINITY, 1, 0}, {-0.5, 1, -0.5, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
    for (int version = 1; version <= 2; ++version) {
      struct image image = make_image(version, false, VOLUME_U8);
      struct volume volume;
      struct fault fault = {0};
      double slope, inter;
      put_real(&image, SLOPE.offset[version - 1], SLOPE.size[version - 1], cases[i].slope);
      put_real(&image, INTER.offset[version - 1], INTER.size[version - 1], cases[i].inter);
      assert_true(read_image(&image, false, &volume, &fault));
      volume_scaling(&volume.header, &slope, &inter);
      assert_true(slope == cases[i].expected_slope && inter == cases[i].expected_inter);
      volume_free(&volume);
    }
}

static void header_extensions_are_skipped(void **state) {
  (void)state;
  struct image image = make_image(1, false, VOLUME_U8);
  struct volume volume;
  struct fault fault = {0};
  memmove(image.bytes + 384, image.bytes + 352, VOXELS);
  set_offset(&image, 384);
  image.size += 32;
  assert_true(read_image(&image, true, &volume, &fault));
  assert_int_equal(((unsigned char *)volume.data)[23], 115);
  volume_free(&volume);
  image = make_image(1, false, VOLUME_U8);
  set_offset(&image, 0); /* as some writers leave it */
  assert_true(read_image(&image, false, &volume, &fault));
  volume_free(&volume);
}

static void impossible_headers_are_refused(void **state) {
  (void)state;
  static const struct {
    const struct spot *spot;
    int64_t value;
    const char *word;
  } cases[] = {{&DIM0, 200, "dim[0] is 200"},     {&DIM0, 0, "dim[0]"},
               {&DIM0, -3, "dim[0] is -3"},       {&DIM0, 8, "dim[0]"},
               {&DIM1, 0, "dim[1] is 0"},         {&DIM2, -7, "dim[2] is -7"},
               {&DIM3, 32767, "truncated"},       {&DIM3, 1, "holds more than"},
               {&DATATYPE, 128, "RGB24"},         {&DATATYPE, 32, "complex64"},
               {&DATATYPE, 1536, "float128"},     {&DATATYPE, 2304, "RGBA32"},
               {&DATATYPE, 1, "1-bit"},           {&DATATYPE, 0, "unknown"},
               {&DATATYPE, -2, "datatype -2"},    {&DATATYPE, 4, "bitpix is 8"},
               {&BITPIX, 16, "bitpix is 16"},     {&SIZEOF, 349, "not NIfTI"},
               {&SIZEOF, 0x7f7f7f7f, "not NIfTI"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
    for (int variant = 0; variant < 4; ++variant) {
      struct image image = make_image(1 + variant % 2, variant / 2, VOLUME_U8);
      set(&image, *cases[i].spot, cases[i].value);
      refuse_image(&image, cases[i].word);
    }
}

static void sizes_that_overflow_or_lie_are_refused(void **state) {
  (void)state;
  struct image image = make_image(2, false, VOLUME_F64);
  set(&image, DIM1, INT64_MAX);
  refuse_image(&image, "63 bits");
  set(&image, DIM1, (int64_t)1 << 31), set(&image, DIM2, (int64_t)1 << 31);
  refuse_image(&image, "63 bits");
  set(&image, DIM1, (int64_t)1 << 20), set(&image, DIM2, (int64_t)1 << 20);
  refuse_image(&image, "truncated");
  image = make_image(1, true, VOLUME_F32);
  for (size_t at = 40; at < 56; at += 2) put(&image, at, 2, at == 40 ? 7 : 32767);
  refuse_image(&image, "63 bits");
}

static void impossible_data_offsets_are_refused(void **state) {
  (void)state;
  static const double offsets[] = {NAN, INFINITY, -INFINITY, -352, 1, 100, 351, 352.5, 3e38};
  for (size_t i = 0; i < sizeof offsets / sizeof *offsets; ++i) {
    struct image image = make_image(1, i % 2, VOLUME_U8);
    set_offset(&image, offsets[i]);
    refuse_image(&image, "vox_offset");
  }
  struct image image = make_image(1, false, VOLUME_U8);
  set_offset(&image, 1e15);
  refuse_image(&image, "truncated");
  set_offset(&image, 353);
  refuse_image(&image, "truncated");
  image = make_image(2, false, VOLUME_U8);
  put(&image, 168, 8, INT64_MAX);
  refuse_image(&image, "vox_offset");
  put(&image, 168, 8, (uint64_t)INT64_MIN);
  refuse_image(&image, "vox_offset");
}

static void pairs_and_analyze_are_refused_by_name(void **state) {
  (void)state;
  struct image image = make_image(1, false, VOLUME_U8);
  memcpy(image.bytes + 344, "ni1", 3);
  refuse_image(&image, "pair");
  memset(image.bytes + 344, 0, 4);
  refuse_image(&image, "ANALYZE");
  image = make_image(2, true, VOLUME_U8);
  memcpy(image.bytes + 4, "ni2", 3);
  refuse_image(&image, "pair");
  image.bytes[9] = 'x';
  refuse_image(&image, "magic");
  assert_refused("scan.hdr", "pairs");
  assert_refused("scan.img", "pairs");
  assert_refused("/nonexistent/scan.nii", "cannot open");
  assert_refused(scratch->folder, "cannot read");
}

static void a_file_cut_anywhere_is_refused(void **state) {
  (void)state;
  for (int version = 1; version <= 2; ++version) {
    const struct image image = make_image(version, version == 2, VOLUME_I16);
    for (size_t size = 0; size < image.size; ++size) {
      scratch_write(scratch, plain, image.bytes, size);
      assert_refused(path_plain, "truncated");
    }
  }
}

static void a_compressed_file_cut_anywhere_is_refused(void **state) {
  (void)state;
  size_t size;
  const struct image image = make_image(1, false, VOLUME_U8);
  write_gzip(image.bytes, image.size);
  char *packed = scratch_read(scratch, gzip, &size);
  assert_non_null(packed);
  for (size_t cut = 0; cut < size; ++cut) {
    scratch_write(scratch, gzip, packed, cut);
    assert_refused(path_gzip, cut < 4 ? "" : "truncated");
  }
  packed[size - 6] ^= 1; /* in the checksum */
  scratch_write(scratch, gzip, packed, size);
  assert_refused(path_gzip, "cannot read");
  memset(packed + 10, 0xff, size - 10);
  scratch_write(scratch, gzip, packed, size);
  assert_refused(path_gzip, "cannot read");
  free(packed);
}

static void a_stream_that_swells_past_its_header_is_refused(void **state) {
  (void)state;
  static const unsigned char zeros[1 << 16];
  const struct image image = make_image(1, false, VOLUME_U8);
  gzFile file = gzopen(path_gzip, "wb9");
  assert_non_null(file);
  gzwrite(file, image.bytes, (unsigned)image.size);
  for (int i = 0; i < 1024; ++i) gzwrite(file, zeros, sizeof zeros);
  gzclose(file);
  assert_refused(path_gzip, "holds more than the 24 bytes");
}

/* Whatever a byte of the header becomes, the file is read or refused with one line. */
static void no_changed_header_byte_does_harm(void **state) {
  (void)state;
  for (int version = 1; version <= 2; ++version)
    for (size_t at = 0; at < (version == 1 ? 352 : 544); ++at)
      for (int change = 0; change < 6; ++change) {
        static const unsigned char changes[] = {0x00, 0xff, 0x80, 0x7f, 0x01, 0x20};
        struct image image = make_image(version, at % 2, VOLUME_I16);
        struct volume volume;
        struct fault fault = {.exit_code = EXIT_DONE};
        image.bytes[at] = change < 4 ? changes[change] : image.bytes[at] ^ changes[change];
        const bool done = read_image(&image, false, &volume, &fault);
        if (done) {
          double affine[3][4];
          volume_affine(&volume.header, affine);
          assert_int_equal(volume.voxels * volume.count, VOXELS);
        } else {
          assert_true(fault.exit_code != EXIT_DONE && *fault.text && !strchr(fault.text, '\n'));
        }
        volume_free(&volume);
      }
}

static void the_affine_comes_from_sform_then_qform_then_spacing(void **state) {
  (void)state;
  const double half = sqrt(0.5);
  struct volume_header header = {.pixdim = {-1, 2, 3, 4}, .quatern = {0, 0, half}, .qoffset = {10, 20, 30}};
  double affine[3][4];
  header.srow[1][2] = 7;
  assert_false(volume_affine(&header, affine));
  assert_true(affine[0][0] == 2 && affine[1][1] == 3 && affine[2][2] == 4 && affine[0][3] == 0);
  header.qform_code = 1; /* a quarter turn about z: x to y, y to -x; qfac -1 turns z over */
  assert_true(volume_affine(&header, affine));
  const double turned[3][4] = {{0, -3, 0, 10}, {2, 0, 0, 20}, {0, 0, -4, 30}};
  for (int i = 0; i < 12; ++i) assert_true(fabs(affine[i / 4][i % 4] - turned[i / 4][i % 4]) < 1e-12);
  header.sform_code = 2;
  assert_true(volume_affine(&header, affine));
  assert_true(affine[1][2] == 7 && affine[0][0] == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_order_version_and_compression_is_read),
      cmocka_unit_test(a_saved_volume_is_read_back_the_same),
      cmocka_unit_test(a_side_past_32767_makes_version_2),
      cmocka_unit_test(stored_values_are_rounded_to_nearest_and_clamped),
      cmocka_unit_test(scaling_is_used_where_it_is_sensible),
      cmocka_unit_test(header_extensions_are_skipped),
      cmocka_unit_test(impossible_headers_are_refused),
      cmocka_unit_test(sizes_that_overflow_or_lie_are_refused),
      cmocka_unit_test(impossible_data_offsets_are_refused),
      cmocka_unit_test(pairs_and_analyze_are_refused_by_name),
      cmocka_unit_test(a_file_cut_anywhere_is_refused),
      cmocka_unit_test(a_compressed_file_cut_anywhere_is_refused),
      cmocka_unit_test(a_stream_that_swells_past_its_header_is_refused),
      cmocka_unit_test(no_changed_header_byte_does_harm),
      cmocka_unit_test(the_affine_comes_from_sform_then_qform_then_spacing),
  };
  return cmocka_run_group_tests(tests, set_up, scratch_tear_down);
}
