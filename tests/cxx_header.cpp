// The public headers as C++ sees them: they compile without warnings, their functions link, their initialisers initialise.
#include <tconv3d/layer.h>
#include <tconv3d/tconv3d.h>

int main() {
  tconv3d_desc desc = TCONV3D_DESC_INIT;
  tconv3d_plan_options options = TCONV3D_PLAN_OPTIONS_INIT;
  int64_t shape[5] = {0, 0, 0, 0, 0};
  desc.in_channels = desc.out_channels = 1;
  TCONV3D_ALL_AXES(desc.input_size, 2);
  TCONV3D_ALL_AXES(desc.kernel_size, 3);
  bool right = options.struct_size == sizeof options && tconv3d_output_shape(&desc, shape) == TCONV3D_OK && shape[4] == 4;
  tconv3d_context_destroy(nullptr);
  return right ? 0 : 1;
}
