#include <stdio.h>
#include <tconv3d/tconv3d.h>

int main(void) {
  static float x[2 * 8 * 8 * 8] = {1}, w[2 * 3 * 2 * 2 * 2] = {2}, b[3] = {0.5f}, y[3 * 16 * 16 * 16];
  tconv3d_desc layer = TCONV3D_DESC_INIT; /* nn.ConvTranspose3d(2, 3, kernel_size=2, stride=2), x of shape (2, 8, 8, 8) */
  layer.in_channels = 2, layer.out_channels = 3;
  TCONV3D_ALL_AXES(layer.input_size, 8);
  TCONV3D_ALL_AXES(layer.kernel_size, 2);
  TCONV3D_ALL_AXES(layer.stride, 2);
  tconv3d_device_info device;
  tconv3d_context *context = NULL;
  tconv3d_plan *plan = NULL;
  tconv3d_weights *weights = NULL;
  int failed = tconv3d_device_select(NULL, &device) || tconv3d_context_create(&device.device, 1, &context) ||
               tconv3d_plan_create(context, &layer, NULL, &plan) || tconv3d_weights_create_host(plan, w, b, &weights) ||
               tconv3d_run(plan, weights, x, y);
  if (failed) fprintf(stderr, "%s\n", tconv3d_message());
  if (!failed) printf("y[0][0][0][0] = %g\n", (double)y[0]); /* 1 * 2 + 0.5 */
  tconv3d_weights_destroy(weights), tconv3d_plan_destroy(plan), tconv3d_context_destroy(context);
  return failed;
}
