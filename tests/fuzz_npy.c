/* fuzz_npy.c: libFuzzer's entry to the .npy reader. Build with `clang -fsanitize=fuzzer,address,undefined -Iinclude -Idemos`,
 * this file and demos/files/{fault,half,npy,npy_header,output}.c and the library; test_npy.c holds the mutations that need no
 * libFuzzer. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "files/npy.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* What was accepted must be whole: the count is the product, and every element can be read. */
static void use(struct npy *array) {
  struct npy same = *array;
  struct fault fault = {0};
  size_t product = 1;
  for (int axis = 0; axis < array->rank; axis++)
    if (array->shape[axis] == 0) product = 0;
  for (int axis = 0; axis < array->rank && product; axis++) product *= (size_t)array->shape[axis];
  if (product != same.count || !npy_convert(array, NPY_F64, &fault) || !npy_convert(array, NPY_F16, &fault)) abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  char path[64];
  struct npy array;
  struct fault fault = {0};
  int file = memfd_create("fuzz", 0);
  if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  if (npy_read(path, "X", &array, &fault))
    use(&array);
  else if (fault.exit_code != EXIT_WRONG_USE || !fault.text[0])
    abort();
  npy_free(&array);
  close(file);
  return 0;
}
