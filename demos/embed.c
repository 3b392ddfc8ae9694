/* embed: the layer inside a program that has its own OpenCL context, out-of-order queue and buffers. Two kernels of the program
 * stand around it: one makes x from raw voxels, one clamps y at zero (ReLU). Events alone order them, and the host waits once.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <tconv3d/tconv3d.h>

enum { SIZE = 12, IN = 3, OUT = 2, KERNEL = 4, VOXELS = IN * SIZE * SIZE * SIZE, OUTPUTS = OUT * 8 * SIZE * SIZE * SIZE };
enum { WEIGHTS = IN * OUT * KERNEL * KERNEL * KERNEL };

static const char source[] = "__kernel void normalise(__global const short *raw, __global float *x) {\n"
                             "  size_t i = get_global_id(0);\n"
                             "  x[i] = (raw[i] - 100) * 0.01f;\n"
                             "}\n"
                             "__kernel void relu(__global float *y) {\n"
                             "  size_t i = get_global_id(0);\n"
                             "  y[i] = fmax(y[i], 0.0f);\n"
                             "}\n";

/* Everything that has to be given back. */
struct program {
  cl_context context;
  cl_command_queue queue;
  cl_program program;
  cl_kernel normalise, relu;
  cl_mem raw, x, y;
  cl_event normalised, convolved, clamped, read;
  tconv3d_context *library;
  tconv3d_plan *plan;
  tconv3d_weights *weights;
};

/* Host data: voxels as a scanner gives them, the layer's parameters, and the result. */
static short raw[VOXELS];
static float w[WEIGHTS], b[OUT], y[OUTPUTS], expected_x[VOXELS], expected_y[OUTPUTS];

static tconv3d_desc layer(void) {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  desc.in_channels = IN;
  desc.out_channels = OUT;
  TCONV3D_ALL_AXES(desc.input_size, SIZE);
  TCONV3D_ALL_AXES(desc.kernel_size, KERNEL);
  TCONV3D_ALL_AXES(desc.stride, 2);
  TCONV3D_ALL_AXES(desc.padding, 1);
  return desc;
}

static void make_data(void) {
  for (int i = 0; i < VOXELS; ++i) raw[i] = (short)(i * 37 % 201);
  for (int i = 0; i < WEIGHTS; ++i) w[i] = (float)(i * 29 % 17 - 8) / 16;
  for (int i = 0; i < OUT; ++i) b[i] = (float)i - 0.5f;
}

/* The program's own OpenCL objects, as any imaging program has them before it meets this library. */
static bool open_opencl(struct program *p, cl_device_id device) {
  const char *text = source;
  p->context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
  if (!p->context) return false;
  p->queue = clCreateCommandQueue(p->context, device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, NULL);
  p->program = clCreateProgramWithSource(p->context, 1, &text, NULL, NULL);
  if (!p->queue || !p->program || clBuildProgram(p->program, 0, NULL, "", NULL, NULL) != CL_SUCCESS) return false;
  p->normalise = clCreateKernel(p->program, "normalise", NULL);
  p->relu = clCreateKernel(p->program, "relu", NULL);
  p->raw = clCreateBuffer(p->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof raw, raw, NULL);
  p->x = clCreateBuffer(p->context, CL_MEM_READ_WRITE, VOXELS * sizeof(float), NULL, NULL);
  p->y = clCreateBuffer(p->context, CL_MEM_READ_WRITE, sizeof y, NULL, NULL);
  return p->normalise && p->relu && p->raw && p->x && p->y;
}

/* Done once for a layer: the library adopts the context, compiles for this layer and packs its weights. */
static bool open_layer(struct program *p) {
  tconv3d_desc desc = layer();
  return tconv3d_context_adopt(p->context, NULL, 0, &p->library) == TCONV3D_OK &&
         tconv3d_plan_create(p->library, &desc, NULL, &p->plan) == TCONV3D_OK &&
         tconv3d_weights_create_host(p->plan, w, b, &p->weights) == TCONV3D_OK;
}

/* normalise -> layer -> relu -> read, each waiting for the event of the one before; nothing here blocks. */
static bool enqueue_all(struct program *p) {
  const size_t voxels = VOXELS, outputs = OUTPUTS;
  clSetKernelArg(p->normalise, 0, sizeof p->raw, &p->raw);
  clSetKernelArg(p->normalise, 1, sizeof p->x, &p->x);
  clSetKernelArg(p->relu, 0, sizeof p->y, &p->y);
  return clEnqueueNDRangeKernel(p->queue, p->normalise, 1, NULL, &voxels, NULL, 0, NULL, &p->normalised) == CL_SUCCESS &&
         tconv3d_enqueue(p->plan, p->weights, p->queue, (tconv3d_buffer){p->x, 0}, (tconv3d_buffer){p->y, 0}, NULL, 1,
                         &p->normalised, &p->convolved) == TCONV3D_OK &&
         clEnqueueNDRangeKernel(p->queue, p->relu, 1, NULL, &outputs, NULL, 1, &p->convolved, &p->clamped) == CL_SUCCESS &&
         clEnqueueReadBuffer(p->queue, p->y, CL_FALSE, 0, sizeof y, y, 1, &p->clamped, &p->read) == CL_SUCCESS;
}

static bool check(void) {
  tconv3d_desc desc = layer();
  for (int i = 0; i < VOXELS; ++i) expected_x[i] = (float)(raw[i] - 100) * 0.01f;
  if (tconv3d_reference_forward(&desc, expected_x, w, b, expected_y) != TCONV3D_OK) return false;
  float worst = 0;
  for (int i = 0; i < OUTPUTS; ++i) worst = fmaxf(worst, fabsf(y[i] - fmaxf(expected_y[i], 0)));
  printf("%d outputs, the largest error is %g\n", OUTPUTS, (double)worst);
  return worst < 1e-5f; /* sums of at most 24 products below 1 */
}

static void close_all(struct program *p) {
  const cl_event events[] = {p->normalised, p->convolved, p->clamped, p->read};
  const cl_mem buffers[] = {p->raw, p->x, p->y};
  tconv3d_weights_destroy(p->weights);
  tconv3d_plan_destroy(p->plan);
  tconv3d_context_destroy(p->library);
  for (size_t i = 0; i < 4; ++i)
    if (events[i]) clReleaseEvent(events[i]);
  for (size_t i = 0; i < 3; ++i)
    if (buffers[i]) clReleaseMemObject(buffers[i]);
  if (p->normalise) clReleaseKernel(p->normalise);
  if (p->relu) clReleaseKernel(p->relu);
  if (p->program) clReleaseProgram(p->program);
  if (p->queue) clReleaseCommandQueue(p->queue);
  if (p->context) clReleaseContext(p->context);
}

int main(int argc, char **argv) {
  struct program program = {0};
  tconv3d_device_info device;
  make_data();
  bool done = tconv3d_device_select(argc > 1 ? argv[1] : NULL, &device) == TCONV3D_OK && open_opencl(&program, device.device) &&
              open_layer(&program) && enqueue_all(&program) && clWaitForEvents(1, &program.read) == CL_SUCCESS && check();
  if (!done) fprintf(stderr, "embed failed: %s\n", tconv3d_message());
  close_all(&program);
  return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
