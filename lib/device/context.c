#include "device/context.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/status.h"
#include "blas/blas.h"
#include "device/clerror.h"
#include "device/device.h"
#include "program/program.h"
#include "store/store.h"

static void free_context(tconv3d_context *context) {
  t3_programs_keep(context); /* while the store is open and the cl_context alive */
  t3_programs_free(context->programs);
  t3_store_close(context->store);
  t3_pool_close(context->pool);
  for (size_t i = 0; i < context->num_slots; ++i) {
    if (context->slots[i].queue) clReleaseCommandQueue(context->slots[i].queue);
    if (context->slots[i].warming) clReleaseCommandQueue(context->slots[i].warming);
    t3_features_free(context->slots[i].features);
  }
  free(context->slots);
  if (context->cl) clReleaseContext(context->cl);
  if (atomic_load(&context->multiplies)) t3_blas_forget();
  pthread_mutex_destroy(&context->building);
  pthread_mutex_destroy(&context->avoided.lock);
  free(context);
}

void tconv3d_context_destroy(tconv3d_context *context) {
  if (context && atomic_fetch_sub(&context->references, 1) == 1) free_context(context);
}

tconv3d_context *t3_context_retain(tconv3d_context *context) {
  atomic_fetch_add(&context->references, 1);
  return context;
}

cl_context tconv3d_context_cl(const tconv3d_context *context) {
  return context ? context->cl : NULL;
}

const t3_slot *t3_context_slot(const tconv3d_context *context, cl_device_id device) {
  if (!device) return &context->slots[0];
  for (size_t i = 0; i < context->num_slots; ++i)
    if (context->slots[i].info.device == device) return &context->slots[i];
  return NULL;
}

static tconv3d_status fill_slot(cl_context cl, cl_device_id device, t3_slot *slot) {
  t3_device_read(device, &slot->info);
  if (!slot->info.usable)
    return t3_fail(TCONV3D_UNSUPPORTED, "device '%s' cannot be used: %s", slot->info.name, slot->info.rejected);
  cl_int error;
  slot->features = t3_features_create();
  if (!slot->features) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a context");
  slot->queue = clCreateCommandQueue(cl, device, 0, &error);
  if (error == CL_SUCCESS) slot->warming = clCreateCommandQueue(cl, device, 0, &error);
  return error == CL_SUCCESS ? TCONV3D_OK : t3_cl_fail(error, "clCreateCommandQueue", "");
}

/* Fills a fresh context. cl is already retained for it. */
static tconv3d_status fill_context(tconv3d_context *context, const cl_device_id *devices, size_t num_devices) {
  context->slots = calloc(num_devices, sizeof *context->slots);
  context->pool = t3_pool_create(&context->avoided);
  if (!context->slots || !context->pool) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a context");
  for (size_t i = 0; i < num_devices; ++i) {
    t3_slot *slot = &context->slots[i];
    context->num_slots = i + 1; /* first, so that a failure frees what this slot got */
    T3_TRY(fill_slot(context->cl, devices[i], slot));
    if (slot->info.platform != context->slots[0].info.platform)
      return t3_fail(TCONV3D_INVALID_ARGUMENT, "devices[%zu] is of another platform than devices[0]", i);
  }
  char directory[1024], reason[192];
  if (t3_store_location(directory, sizeof directory, reason, sizeof reason))
    context->store = t3_store_open(directory, T3_STORE_CAPACITY, reason, sizeof reason);
  return TCONV3D_OK;
}

/* Takes cl over, on failure too. */
static tconv3d_status make_context(cl_context cl, const cl_device_id *devices, size_t num_devices, tconv3d_context **result) {
  tconv3d_context *context = calloc(1, sizeof *context);
  if (!context) {
    clReleaseContext(cl);
    return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a context");
  }
  context->process = getpid();
  context->cl = cl;
  atomic_init(&context->references, 1);
  atomic_init(&context->multiplies, false);
  pthread_mutex_init(&context->building, NULL);
  pthread_mutex_init(&context->avoided.lock, NULL);
  tconv3d_status status = fill_context(context, devices, num_devices);
  if (status == TCONV3D_OK)
    *result = context;
  else
    free_context(context);
  return status;
}

tconv3d_status tconv3d_context_create(const cl_device_id *devices, size_t num_devices, tconv3d_context **context) {
  if (!context || !devices || !num_devices)
    return t3_fail(TCONV3D_INVALID_ARGUMENT, !context ? "context is NULL" : !devices ? "devices is NULL" : "num_devices is 0");
  *context = NULL;
  cl_platform_id platform = NULL;
  T3_CL_TRY(clGetDeviceInfo, (devices[0], CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL));
  cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
  cl_int error;
  cl_context cl = clCreateContext(properties, (cl_uint)num_devices, devices, NULL, NULL, &error);
  if (error != CL_SUCCESS) return t3_cl_fail(error, "clCreateContext", "");
  return make_context(cl, devices, num_devices, context);
}

/* The devices of a cl_context, malloc'd. */
static tconv3d_status context_devices(cl_context cl, cl_device_id **devices, size_t *count) {
  size_t bytes = 0;
  T3_CL_TRY(clGetContextInfo, (cl, CL_CONTEXT_DEVICES, 0, NULL, &bytes));
  *devices = malloc(bytes ? bytes : 1);
  if (!*devices) return t3_fail(TCONV3D_OUT_OF_HOST_MEMORY, "no memory for a device list");
  *count = bytes / sizeof(cl_device_id);
  cl_int error = clGetContextInfo(cl, CL_CONTEXT_DEVICES, bytes, *devices, NULL);
  if (error == CL_SUCCESS) return TCONV3D_OK;
  free(*devices);
  return t3_cl_fail(error, "clGetContextInfo", "");
}

/* Every wanted device must be one of those in the cl_context. */
static tconv3d_status check_subset(const cl_device_id *all, size_t num_all, const cl_device_id *wanted, size_t num_wanted) {
  for (size_t i = 0; i < num_wanted; ++i) {
    size_t j = 0;
    while (j < num_all && all[j] != wanted[i]) ++j;
    if (j == num_all) return t3_fail(TCONV3D_INVALID_ARGUMENT, "devices[%zu] is not a device of the cl_context", i);
  }
  return TCONV3D_OK;
}

tconv3d_status tconv3d_context_adopt(cl_context cl, const cl_device_id *devices, size_t num_devices,
                                     tconv3d_context **context) {
  if (!context || !cl) return t3_fail(TCONV3D_INVALID_ARGUMENT, "%s is NULL", context ? "cl" : "context");
  *context = NULL;
  if (!devices != !num_devices) return t3_fail(TCONV3D_INVALID_ARGUMENT, "devices and num_devices do not agree");
  cl_device_id *all = NULL;
  size_t num_all = 0;
  T3_TRY(context_devices(cl, &all, &num_all));
  tconv3d_status status = check_subset(all, num_all, devices, num_devices);
  if (status == TCONV3D_OK) {
    cl_int error = clRetainContext(cl);
    if (error != CL_SUCCESS)
      status = t3_cl_fail(error, "clRetainContext", "");
    else
      status = make_context(cl, devices ? devices : all, devices ? num_devices : num_all, context);
    for (size_t i = 0; status == TCONV3D_OK && i < (*context)->num_slots; ++i) (*context)->slots[i].adopted = true;
  }
  free(all);
  return status;
}
