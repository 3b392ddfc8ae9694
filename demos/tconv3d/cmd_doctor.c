/* cmd_doctor.c: `tconv3d doctor`: one screen that tells why this machine can or cannot run layers. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tconv3d/device_list.h"
#include "tconv3d/known_answers.h"

/* The two verdicts, in colour where a person reads them. */
struct verdicts {
  const char *good, *bad;
};

static struct verdicts choose_verdicts(void) {
  bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
  return colour ? (struct verdicts){"\033[32mok\033[0m", "\033[31mFAILED\033[0m"} : (struct verdicts){"ok", "FAILED"};
}

static void print_library(void) {
  Dl_info loader;
  cl_int (*entry)(cl_uint, cl_platform_id *, cl_uint *) = clGetPlatformIDs;
  void *address;
  memcpy(&address, &entry, sizeof address); /* ISO C has no cast from a function pointer to void * */
  bool found = dladdr(address, &loader) != 0 && loader.dli_fname;
  printf("library          tconv3d %s\n", tconv3d_version());
  printf("OpenCL loader    %s\n", found ? loader.dli_fname : "unknown");
}

/* The library that an .icd file names: its first line. */
static void print_icd(const char *folder, const char *name) {
  char path[4096], line[256] = "";
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "r");
  if (!file || !fgets(line, sizeof line, file)) snprintf(line, sizeof line, "cannot be read");
  if (file) fclose(file);
  line[strcspn(line, "\r\n")] = 0;
  printf("  %s: %s\n", name, line);
}

static int is_icd(const struct dirent *entry) {
  size_t length = strlen(entry->d_name);
  return length > 4 && strcmp(entry->d_name + length - 4, ".icd") == 0;
}

static void print_icds(void) {
  const char *vendors = getenv("OCL_ICD_VENDORS");
  const char *folder = vendors && *vendors ? vendors : "/etc/OpenCL/vendors";
  struct dirent **entries = NULL;
  struct stat status;
  bool is_folder = !stat(folder, &status) && S_ISDIR(status.st_mode);
  int count = is_folder ? scandir(folder, &entries, is_icd, alphasort) : 0;
  printf("driver files     %s%s\n", folder, folder == vendors ? " (OCL_ICD_VENDORS)" : "");
  if (!is_folder && folder != vendors) printf("  the folder does not exist\n");
  if (is_folder && count <= 0) printf("  none\n");
  for (int i = 0; i < count; i++) {
    print_icd(folder, entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
}

static void print_environment(void) {
  static const char *const names[] = {
      "TCONV3D_CACHE_DIR",     "TCONV3D_DEVICE",       "TCONV3D_FEATURES",
      "TCONV3D_MAX_LAUNCH_US", "TCONV3D_SELF_TEST",    "TCONV3D_VECTOR_WIDTH",
      "XDG_CACHE_HOME",        "OCL_ICD_VENDORS",      "OPENCL_LAYERS",
      "LD_LIBRARY_PATH",       "POCL_AFFINITY",        "POCL_DEVICES",
      "POCL_CACHE_DIR",        "POCL_MEMORY_LIMIT",    "POCL_MAX_PTHREAD_COUNT",
      "RUSTICL_ENABLE",        "CUDA_VISIBLE_DEVICES", "CL_CONFIG_CPU_TARGET_ARCH",
  };
  printf("environment\n");
  int shown = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *value = getenv(names[i]);
    if (value) printf("  %s=%s\n", names[i], value);
    shown += value != NULL;
  }
  if (!shown) printf("  nothing set that matters\n");
}

static void print_cache(void) {
  tconv3d_cache_info info;
  if (tconv3d_cache_query(&info) != TCONV3D_OK)
    printf("program cache    %s\n", tconv3d_message());
  else if (!*info.path)
    printf("program cache    none: %s\n", info.reason);
  else
    printf("program cache    %s: %" PRIu64 " entries, %.1f MiB\n", info.path, info.entries, (double)info.bytes / (1 << 20));
}

static void print_clblast_on(const tconv3d_device_info *device) {
  tconv3d_clblast_info info;
  printf("  %u:%u ", device->platform_index, device->device_index);
  if (tconv3d_clblast_query(device->device, TCONV3D_F32, &info) != TCONV3D_OK)
    printf("%s\n", tconv3d_message());
  else if (info.damaged)
    printf("the cache's tuned parameters are damaged or not for this device, and are ignored\n");
  else if (info.tuned)
    printf("tuned: %.1f GFLOP/s in float32 when they were found\n", 1e-9 * info.flops_per_second);
  else
    printf("its own parameters; `tconv3d tune --clblast` looks for better ones\n");
}

static void print_clblast(const tconv3d_device_info *list, size_t count) {
  tconv3d_clblast_info info;
  bool known = tconv3d_clblast_query(NULL, TCONV3D_F32, &info) == TCONV3D_OK && *info.version;
  printf("CLBlast          %s\n", known ? info.version : "none: the library was built without it");
  for (size_t i = 0; known && i < count; i++)
    if (list[i].usable) print_clblast_on(&list[i]);
}

/* One line an algorithm; a message's first line is enough for one screen. */
static bool check_algorithm_on(tconv3d_context *context, const char *algorithm, const struct verdicts *verdicts) {
  struct known_answers answers;
  bool done = known_answers_run(context, algorithm, &answers);
  if (done)
    printf("    %-10s %s: %d layers exact%s", algorithm, verdicts->good, answers.exact, answers.skipped ? "" : "\n");
  else
    printf("    %-10s %s: %.*s\n", algorithm, verdicts->bad, (int)strcspn(answers.fault.text, "\n"), answers.fault.text);
  if (done && answers.skipped) printf(", %d not served\n", answers.skipped);
  return done;
}

static bool check_device(const tconv3d_device_info *device, const struct verdicts *verdicts) {
  tconv3d_context *context = NULL;
  const char *algorithm;
  bool done = true;
  printf("  %u:%u %s\n", device->platform_index, device->device_index, device->name);
  if (tconv3d_context_create(&device->device, 1, &context) != TCONV3D_OK) {
    printf("    context    %s: %s\n", verdicts->bad, tconv3d_message());
    return false;
  }
  for (size_t i = 0; (algorithm = tconv3d_algorithm_name(i)) != NULL; i++)
    done &= check_algorithm_on(context, algorithm, verdicts);
  tconv3d_context_destroy(context);
  return done;
}

static bool check_devices(const tconv3d_device_info *list, size_t count, const struct verdicts *verdicts) {
  bool done = true;
  int usable = 0;
  printf("known answers\n");
  for (size_t i = 0; i < count; i++) {
    if (!list[i].usable) continue;
    usable++;
    done &= check_device(&list[i], verdicts);
  }
  if (!usable) printf("  %s: no device is usable\n", verdicts->bad);
  return done && usable;
}

static void print_advice(void) {
  static const struct {
    const char *package, *serves;
  } packages[] = {
      {"pocl-opencl-icd", "any CPU"},
      {"intel-opencl-icd", "Intel GPUs"},
      {"mesa-opencl-icd", "AMD GPUs"},
      {"nvidia-opencl-icd", "NVIDIA GPUs, with NVIDIA's driver"},
  };
  printf("No OpenCL platform answers. Install a driver, for instance one of these Debian packages:\n");
  for (size_t i = 0; i < sizeof packages / sizeof *packages; i++)
    printf("  apt-get install %-18s %s\n", packages[i].package, packages[i].serves);
}

int cmd_doctor(int argc, char **argv) {
  static const struct argp doctor_argp = {
      .doc = "Shows the OpenCL drivers and devices, runs small layers with known answers on each device with each algorithm, "
             "and shows "
             "the cache. Where CLBlast is used it compiles for a minute the first time. The exit status is 1 when there "
             "is no usable device or an answer is wrong."};
  struct fault fault = {0};
  tconv3d_device_info *list;
  size_t count;
  if (!command_parse(&doctor_argp, argc, argv, NULL, &fault)) return command_error(&fault);
  struct verdicts verdicts = choose_verdicts();
  print_library();
  print_icds();
  print_environment();
  print_cache();
  if (!device_list(&list, &count, &fault)) return command_error(&fault);
  print_clblast(list, count);
  printf("\n");
  if (count) device_list_print(list, count);
  for (size_t i = 0; i < count; i++) device_facts_print(&list[i]);
  bool healthy = count > 0 && check_devices(list, count, &verdicts);
  if (!count) print_advice();
  free(list);
  if (healthy) return EXIT_DONE;
  fault_set(&fault, EXIT_OTHER, count ? "a check failed: see the lines marked FAILED" : "no OpenCL platform or device found");
  return command_error(&fault);
}
