/* test_npy.c: .npy arrays in and out, and files that are damaged in every way there is. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "files/npy.h"
#include "support/scratch.h"

/* ---- building files by hand ---- */

struct bytes {
  unsigned char at[1024];
  size_t count;
};

static void append(struct bytes *bytes, const void *more, size_t count) {
  assert_true(bytes->count + count <= sizeof bytes->at);
  memcpy(bytes->at + bytes->count, more, count);
  bytes->count += count;
}

/* A file of the given version with this header text and so many zero bytes of data. */
static struct bytes make_file(unsigned char version, const char *header, size_t data_bytes) {
  struct bytes bytes = {.count = 0};
  static const unsigned char zeros[256];
  size_t length = strlen(header);
  unsigned char start[12] = {
      0x93, 'N', 'U', 'M', 'P', 'Y', version, 0, (unsigned char)(length & 255), (unsigned char)(length >> 8)};
  append(&bytes, start, version == 1 ? 10 : 12);
  append(&bytes, header, length);
  append(&bytes, zeros, data_bytes);
  return bytes;
}

/* Reads the bytes as a file, one in memory: thousands of them on a disk would take minutes. A refusal must be one line that
 * begins with the label and the path, and leave nothing allocated. */
static bool read_bytes(const struct bytes *bytes, struct npy *array, struct fault *fault) {
  char path[64], start[80];
  int file = memfd_create("npy", 0);
  assert_true(file >= 0);
  assert_int_equal(write(file, bytes->at, bytes->count), bytes->count);
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  bool accepted = npy_read(path, "X", array, fault);
  close(file);
  if (accepted) return true;
  snprintf(start, sizeof start, "X (%s): ", path);
  assert_int_equal(fault->exit_code, EXIT_WRONG_USE);
  assert_int_equal(strncmp(fault->text, start, strlen(start)), 0);
  assert_null(strpbrk(fault->text, "\n\r"));
  assert_null(array->data);
  return false;
}

/* ---- reading ---- */

static void headers_that_are_right_are_read(void **state) {
  (void)state;
  static const struct {
    unsigned char version;
    const char *text;
    enum npy_type type;
    int rank;
    int64_t shape[NPY_MAX_RANK];
    size_t count;
  } rows[] = {
      {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", NPY_F32, 2, {2, 3}, 6},
      {2, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }  \n", NPY_F16, 2, {2, 3}, 6},
      {3, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n", NPY_F64, 2, {2, 3}, 6},
      {1, "{'shape':(4,),'fortran_order':False,'descr':'<f4'}", NPY_F32, 1, {4}, 4},
      {1, " { \"fortran_order\" : False ,\n\t\"shape\" : ( 4 , 1 , ) , \"descr\" : \"<f4\" , } \r\n", NPY_F32, 2, {4, 1}, 4},
      {1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", NPY_F32, 0, {0}, 1},
      {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}", NPY_F32, 1, {0}, 0},
      {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3, 1, 2, 2)}", NPY_F32, 5, {0, 3, 1, 2, 2}, 0},
      {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,2)}", NPY_F32, 8, {1, 1, 1, 1, 1, 1, 1, 2}, 2},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct npy array;
    struct fault fault = {0};
    struct bytes file = make_file(rows[i].version, rows[i].text, rows[i].count * npy_type_size(rows[i].type));
    if (!read_bytes(&file, &array, &fault)) fail_msg("%s: %s", rows[i].text, fault.text);
    assert_int_equal(array.type, rows[i].type);
    assert_int_equal(array.rank, rows[i].rank);
    assert_memory_equal(array.shape, rows[i].shape, sizeof array.shape);
    assert_int_equal(array.count, rows[i].count);
    assert_int_equal((uintptr_t)array.data % 128, 0);
    npy_free(&array);
  }
}

static void headers_that_are_wrong_are_refused_with_the_reason(void **state) {
  (void)state;
  static const struct {
    const char *text, *reason;
  } rows[] = {
      {"", "not the literal"},
      {"[]", "not the literal"},
      {"{", "not the literal"},
      {"{}", "no descr"},
      {"{'descr': '<f4', 'fortran_order': False}", "no shape"},
      {"{'descr': '<f4', 'shape': (4,)}", "no fortran_order"},
      {"{'fortran_order': False, 'shape': (4,)}", "no descr"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4,)", "not the literal"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4,", "whole numbers"},
      {"{'descr': '<f4' 'fortran_order': False, 'shape': (4,)}", "not the literal"},
      {"{'descr' '<f4', 'fortran_order': False, 'shape': (4,)}", "no ':' after descr"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4,)} x", "text after its end"},
      {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (4,)}", "descr twice"},
      {"{'descr': '<f4', 'order': 'C', 'fortran_order': False, 'shape': (4,)}", "unknown key 'order'"},
      {"{'descr': '<f4, 'fortran_order': False, 'shape': (4,)}", "<f4, "},
      {"{'descr': '<f4", "inside a string"},
      {"{'des\\x63r': '<f4', 'fortran_order': False, 'shape': (4,)}", "escape"},
      {"{'a_key_that_is_longer_than_any_that_is_known': 1}", "more than"},
      {"{'descr': '>f4', 'fortran_order': False, 'shape': (4,)}", "big-endian float32"},
      {"{'descr': '>f2', 'fortran_order': False, 'shape': (4,)}", "big-endian float16"},
      {"{'descr': '<i4', 'fortran_order': False, 'shape': (4,)}", "'<i4'"},
      {"{'descr': '|u1', 'fortran_order': False, 'shape': (16,)}", "'|u1'"},
      {"{'descr': '|O', 'fortran_order': False, 'shape': (4,)}", "'|O'"},
      {"{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}", "'<c8'"},
      {"{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", "'<f16'"},
      {"{'descr': '', 'fortran_order': False, 'shape': (4,)}", "type is ''"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}", "structured"},
      {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}", "Fortran order"},
      {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 2)}", "fortran_order is neither"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': 4}", "not a tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': [4]}", "not a tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4)}", "a number, not a tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", "whole numbers"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,,2)}", "whole numbers"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}", "whole numbers"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (04,)}", "whole numbers"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4.0,)}", "whole numbers"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (+4,)}", "whole numbers"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-4,)}", "negative"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,4)}", "more than 8 axes"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}", "does not fit"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,)}", "does not fit"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "more elements"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807,)}", "more bytes"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2305843009213693951,)}", "truncated"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (5,)}",
       "promises 20 bytes of data, the file has 16: it is truncated"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "promises 12 bytes of data, the file has 16"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4)}", "promises 0 bytes of data, the file has 16"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct npy array;
    struct fault fault = {0};
    struct bytes file = make_file(1, rows[i].text, 16);
    if (read_bytes(&file, &array, &fault)) fail_msg("accepted: %s", rows[i].text);
    if (!strstr(fault.text, rows[i].reason)) fail_msg("%s: '%s' has no '%s'", rows[i].text, fault.text, rows[i].reason);
  }
}

static void starts_that_are_wrong_are_refused_with_the_reason(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t count;
    const char *reason;
  } rows[] = {
      {"", 0, "too short"},
      {"\x93NUMPY", 6, "too short"},
      {"\x93NUMPZ\1\0\2\0{}", 12, "no .npy file"},
      {"PK\3\4 a zip file", 15, "no .npy file"},
      {"\x93NUMPY\0\0\2\0{}", 12, "version 0.0"},
      {"\x93NUMPY\4\0\2\0{}", 12, "version 4.0"},
      {"\x93NUMPY\1\1\2\0{}", 12, "version 1.1"},
      {"\x93NUMPY\1\0\3\0{}", 12, "ends inside its header"},
      {"\x93NUMPY\2\0\2\0\0", 11, "ends inside its header"},
      {"\x93NUMPY\2\0\2\0\1\0{}", 14, "longer than 65536"},
      {"\x93NUMPY\2\0\xff\xff\xff\xff{}", 14, "longer than 65536"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct npy array;
    struct fault fault = {0};
    struct bytes file = {.count = 0};
    append(&file, rows[i].bytes, rows[i].count);
    assert_false(read_bytes(&file, &array, &fault));
    if (!strstr(fault.text, rows[i].reason)) fail_msg("row %zu: '%s' has no '%s'", i, fault.text, rows[i].reason);
  }
}

static struct bytes good_file(void) {
  return make_file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }        \n", 24);
}

static void a_file_cut_anywhere_is_refused(void **state) {
  (void)state;
  struct bytes file = good_file();
  size_t whole = file.count;
  for (file.count = 0; file.count < whole; file.count++) {
    struct npy array;
    struct fault fault = {0};
    if (read_bytes(&file, &array, &fault)) fail_msg("accepted at %zu of %zu bytes", file.count, whole);
  }
}

static void a_file_with_more_than_its_data_is_refused(void **state) {
  (void)state;
  struct bytes file = good_file();
  struct npy array;
  struct fault fault = {0};
  append(&file, "x", 1);
  assert_false(read_bytes(&file, &array, &fault));
}

/* What is accepted after a mutation must still be a whole array of the file's own size: no other check is possible, or needed.
 */
static void check_mutation(const struct bytes *file, size_t at) {
  struct npy array;
  struct fault fault = {0};
  if (!read_bytes(file, &array, &fault)) return;
  size_t product = 1;
  for (int axis = 0; axis < array.rank; axis++) product *= (size_t)array.shape[axis];
  if (product != array.count || array.count * npy_type_size(array.type) > file->count)
    fail_msg("byte %zu as %u: %zu elements of a file of %zu bytes", at, file->at[at], array.count, file->count);
  assert_true(npy_convert(&array, NPY_F64, &fault)); /* reads every element */
  npy_free(&array);
}

static void every_byte_of_a_header_may_be_wrong(void **state) {
  (void)state;
  static const unsigned char values[] = {0,   1,   '\n', ' ', '\'', '(', ')', ',', '-', '0',
                                         '1', '9', 'F',  'T', '\\', '{', '}', 127, 128, 255};
  const struct bytes good = good_file();
  for (size_t at = 0; at < good.count - 24; at++) {
    struct bytes file = good;
    for (size_t i = 0; i < sizeof values; i++) {
      file.at[at] = values[i];
      check_mutation(&file, at);
    }
    for (int bit = 0; bit < 8; bit++) {
      file.at[at] = (unsigned char)(good.at[at] ^ (1 << bit));
      check_mutation(&file, at);
    }
  }
}

/* Several mutations at once, from a fixed seed. */
static void many_bytes_of_a_header_may_be_wrong(void **state) {
  (void)state;
  const struct bytes good = good_file();
  uint64_t random = 12345;
  for (int round = 0; round < 4000; round++) {
    struct bytes file = good;
    size_t at = 0;
    for (int change = 0; change < 4; change++) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      at = (size_t)(random >> 33) % (good.count - 24);
      file.at[at] = change & 1 ? good.at[(size_t)(random >> 20) % good.count] : (unsigned char)(random >> 56);
    }
    check_mutation(&file, at);
  }
}

static void what_is_no_file_is_refused_without_waiting(void **state) {
  char path[SCRATCH_PATH];
  struct npy array;
  struct fault fault = {0};
  const struct scratch *scratch = *state;
  assert_int_equal(mkfifo(scratch_path(scratch, "pipe", path), 0600), 0);
  assert_false(npy_read(path, "X", &array, &fault));
  assert_non_null(strstr(fault.text, "not a regular file"));
  assert_false(npy_read(scratch->folder, "X", &array, &fault));
  assert_non_null(strstr(fault.text, "is a directory"));
  assert_false(npy_read("/dev/null", "X", &array, &fault));
  assert_non_null(strstr(fault.text, "not a regular file"));
  assert_false(npy_read(scratch_path(scratch, "nothing.npy", path), "X", &array, &fault));
  assert_non_null(strstr(fault.text, "No such file"));
  assert_int_equal(fault.exit_code, EXIT_WRONG_USE);
}

static void a_name_with_a_line_break_makes_a_message_of_one_line(void **state) {
  struct npy array;
  struct fault fault = {0};
  (void)state;
  assert_false(npy_read("/nowhere/a\nb\033[31m", "X", &array, &fault));
  assert_null(strpbrk(fault.text, "\n\033"));
}

/* ---- writing ---- */

static void arrays_of_every_type_and_rank_come_back_as_written(void **state) {
  static const int64_t shape[NPY_MAX_RANK] = {2, 3, 1, 2, 1, 2, 1, 3};
  char path[SCRATCH_PATH];
  scratch_path(*state, "y.npy", path);
  for (int type = NPY_F16; type <= NPY_F64; type++)
    for (int rank = 0; rank <= NPY_MAX_RANK; rank++) {
      struct npy written, read;
      struct fault fault = {0};
      assert_true(npy_make(&written, (enum npy_type)type, rank, shape, &fault));
      for (size_t i = 0; i < written.count * npy_type_size(written.type); i++)
        ((unsigned char *)written.data)[i] = (unsigned char)(i * 37);
      assert_true(npy_write(path, &written, &fault));
      if (!npy_read(path, "Y", &read, &fault)) fail_msg("rank %d: %s", rank, fault.text);
      assert_int_equal(read.type, type);
      assert_int_equal(read.rank, rank);
      assert_memory_equal(read.shape, written.shape, sizeof read.shape);
      assert_memory_equal(read.data, written.data, written.count * npy_type_size(written.type));
      npy_free(&read);
      npy_free(&written);
    }
}

/* The very bytes that numpy.save writes for numpy.zeros((2, 3), '<f4') and numpy.zeros(3, '<f2'). */
static void a_written_file_is_what_numpy_writes(void **state) {
  static const struct {
    enum npy_type type;
    int rank;
    int64_t shape[2];
    const char *text;
  } rows[] = {
      {NPY_F32, 2, {2, 3}, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"},
      {NPY_F16, 1, {3}, "{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }"},
      {NPY_F64, 0, {0}, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char path[SCRATCH_PATH], expected[129];
    struct npy array;
    struct fault fault = {0};
    size_t bytes;
    assert_true(npy_make(&array, rows[i].type, rows[i].rank, rows[i].shape, &fault));
    memset(array.data, 0, array.count * npy_type_size(array.type));
    assert_true(npy_write(scratch_path(*state, "y.npy", path), &array, &fault));
    char *file = scratch_read(*state, "y.npy", &bytes);
    assert_int_equal(bytes, 128 + array.count * npy_type_size(array.type));
    memcpy(expected, "\x93NUMPY\1\0\x76\0", 10);
    snprintf(expected + 10, sizeof expected - 10, "%-117s\n", rows[i].text);
    assert_memory_equal(file, expected, 128);
    free(file);
    npy_free(&array);
  }
}

static void a_shape_too_large_for_memory_is_refused(void **state) {
  static const int64_t shape[] = {INT64_C(1) << 40, INT64_C(1) << 40}, empty[] = {INT64_C(1) << 40, INT64_C(1) << 40, 0};
  struct npy array;
  struct fault fault = {0};
  (void)state;
  assert_false(npy_make(&array, NPY_F32, 2, shape, &fault));
  assert_int_equal(fault.exit_code, EXIT_OTHER);
  assert_true(npy_make(&array, NPY_F32, 3, empty, &fault));
  assert_int_equal(array.count, 0);
  npy_free(&array);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(headers_that_are_right_are_read),
      cmocka_unit_test(headers_that_are_wrong_are_refused_with_the_reason),
      cmocka_unit_test(starts_that_are_wrong_are_refused_with_the_reason),
      cmocka_unit_test(a_file_cut_anywhere_is_refused),
      cmocka_unit_test(a_file_with_more_than_its_data_is_refused),
      cmocka_unit_test(every_byte_of_a_header_may_be_wrong),
      cmocka_unit_test(many_bytes_of_a_header_may_be_wrong),
      cmocka_unit_test(what_is_no_file_is_refused_without_waiting),
      cmocka_unit_test(a_name_with_a_line_break_makes_a_message_of_one_line),
      cmocka_unit_test(arrays_of_every_type_and_rank_come_back_as_written),
      cmocka_unit_test(a_written_file_is_what_numpy_writes),
      cmocka_unit_test(a_shape_too_large_for_memory_is_refused),
  };
  return cmocka_run_group_tests(tests, scratch_set_up, scratch_tear_down);
}
