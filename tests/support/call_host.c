/* A call's tensors in the host's memory, between pages that nobody may touch. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/call.h"

enum { WHY = 200 };
static const int zone = 0xff; /* of bytes that are a NaN of every type */

/* Whole pages; those before and after them cannot even be read. */
struct pages {
  unsigned char *begin;
  size_t size, page;
};

static struct pages pages_make(const struct call *call, size_t bytes) {
  struct pages pages = {.page = (size_t)sysconf(_SC_PAGESIZE)};
  pages.size = (bytes / pages.page + 1) * pages.page;
  void *whole = mmap(NULL, pages.size + 2 * pages.page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  call_needs(call, whole != MAP_FAILED, "no memory for pages");
  pages.begin = (unsigned char *)whole + pages.page;
  call_needs(call, !mprotect(pages.begin, pages.size, PROT_READ | PROT_WRITE), "pages cannot be written");
  memset(pages.begin, zone, pages.size);
  return pages;
}

static void pages_free(const struct pages *pages) {
  munmap(pages->begin - pages->page, pages->size + 2 * pages->page);
}

/* ---- host calls ---- */

/* One tensor, with a zone after it, and before it unless it begins its pages. */
struct array {
  const struct tensor *tensor;
  struct pages pages;
  unsigned char *low; /* its lowest element */
  size_t bytes;
};

static struct array array_make(const struct call *call, int index, size_t shift) {
  const struct tensor *tensor = &call->tensors[index];
  size_t element = typed_size(tensor->type), bytes = tensor->view.span * element;
  struct array array = {.tensor = tensor, .pages = pages_make(call, bytes + shift * element), .bytes = bytes};
  array.low = array.pages.begin + shift * element;
  memcpy(array.low, tensor->places, bytes);
  return array;
}

/* Where element 0 is; NULL for a tensor that the call has not. */
static void *array_start(const struct array *array) {
  const struct tensor *tensor = array->tensor;
  return tensor->count ? array->low + tensor->view.below * typed_size(tensor->type) : NULL;
}

static void check_zones(const struct call *call, const struct array *array) {
  for (size_t i = 0; i < array->pages.size; ++i) {
    const unsigned char *at = array->pages.begin + i;
    bool inside = at >= array->low && at < array->low + array->bytes;
    call_needs(call, inside || *at == zone, "the host call wrote beside an array");
  }
}

static void check_target(const struct call *call, const struct array *array) {
  const struct tensor *target = array->tensor;
  size_t size = typed_size(target->type), bytes = target->count * size;
  char why[WHY];
  void *result = malloc(bytes + 1);
  call_needs(call, result != NULL, "no memory for the result");
  call_needs(call, view_gaps_kept(&target->view, size, target->places, array->low, why, sizeof why), why);
  view_gather(&target->view, size, array->low, result);
  call_needs(call, !call->info.deterministic || !memcmp(result, call->result, bytes), "the host call gives other bits");
  free(result);
}

static tconv3d_weights *make_weights(const struct call *call, const struct array *arrays) {
  tconv3d_weights *weights;
  const void *const slope = array_start(&arrays[CALL_SLOPE]), *const scale = array_start(&arrays[CALL_SCALE]);
  const void *const shift = array_start(&arrays[CALL_SHIFT]);
  call_ok(call, tconv3d_weights_create_host(call->plan, array_start(&arrays[CALL_W]), array_start(&arrays[CALL_B]), &weights));
  if (slope || scale) call_ok(call, tconv3d_weights_set_channels_host(weights, slope, scale, shift));
  return weights;
}

static tconv3d_status run(const struct call *call, const struct array *arrays, const tconv3d_weights *weights) {
  const struct asked *asked = &call->asked;
  const void *x = array_start(&arrays[CALL_X]), *gy = array_start(&arrays[CALL_GY]);
  void *to = array_start(&arrays[CALL_TARGET]);
  if (!weights) return tconv3d_run_gradient(call->plan, x, gy, to);
  if (asked->operation == TCONV3D_GRAD_INPUT) x = gy;
  if (asked->epilogue.residual == 0.0) return tconv3d_run(call->plan, weights, x, to);
  return tconv3d_run_residual(call->plan, weights, x, asked->in_place ? to : array_start(&arrays[CALL_RESIDUAL]), to);
}

void call_run_host(const struct call *call, size_t shift) {
  struct array arrays[CALL_WORKSPACE]; /* which is the last, and of no host call */
  for (int i = 0; i < CALL_WORKSPACE; ++i) arrays[i] = array_make(call, i, shift);
  tconv3d_weights *weights = call->weights ? make_weights(call, arrays) : NULL;
  call_ok(call, run(call, arrays, weights));
  tconv3d_weights_destroy(weights);
  for (int i = 0; i < CALL_WORKSPACE; ++i) {
    const struct array *array = &arrays[i];
    bool kept = i == CALL_TARGET || !memcmp(array->low, array->tensor->places, array->bytes);
    call_needs(call, kept, "the host call wrote to what it reads");
    check_zones(call, array);
    if (i == CALL_TARGET) check_target(call, array);
    pages_free(&array->pages);
  }
}

/* ---- tensors at the end of memory ---- */

static void run_with(struct call *call, int index, const struct pages *pages) {
  const struct tensor *tensor = &call->tensors[index];
  size_t element = typed_size(tensor->type), bytes = tensor->view.span * element, first = pages->size - bytes;
  size_t result_bytes = call->tensors[CALL_TARGET].count * typed_size(call->tensors[CALL_TARGET].type);
  tconv3d_buffer buffers[TENSORS];
  cl_int error;
  memcpy(pages->begin + first, tensor->places, bytes);
  call_buffers(call, buffers);
  const cl_mem_flags flags = CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR;
  buffers[index].mem = clCreateBuffer(call->rig->cl, flags, pages->size, pages->begin, &error);
  buffers[index].offset = first + tensor->view.below * element;
  assert_cl(error);
  void *expected = malloc(result_bytes + 1);
  call_needs(call, expected != NULL, "no memory for the result");
  memcpy(expected, call->result, result_bytes);
  call_run_in(call, buffers);
  call_needs(call, !call->info.deterministic || !memcmp(expected, call->result, result_bytes), "other bits from host memory");
  assert_cl(clReleaseMemObject(buffers[index].mem));
  free(expected);
}

void call_run_at_the_end(struct call *call) {
  static const int read[] = {CALL_X, CALL_GY, CALL_RESIDUAL};
  for (size_t i = 0; i < sizeof read / sizeof *read; ++i) {
    const struct tensor *tensor = &call->tensors[read[i]];
    if (!tensor->count) continue;
    struct pages pages = pages_make(call, tensor->view.span * typed_size(tensor->type));
    run_with(call, read[i], &pages);
    pages_free(&pages);
  }
}
