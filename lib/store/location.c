/* Where the cache lies, by the environment alone. */
#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"
#include "store/trust.h"

/* In the order of preference. The XDG specification tells to ignore a relative path; a relative HOME would scatter caches over
 * working directories. */
static const struct {
  const char *variable, *below;
  bool absolute;
} places[] = {
    {"TCONV3D_CACHE_DIR", "", false},
    {"XDG_CACHE_HOME", "/tconv3d", true},
    {"HOME", "/.cache/tconv3d", true},
};

bool t3_store_location(char *path, size_t capacity, char *reason, size_t reason_capacity) {
  for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
    const char *value = getenv(places[i].variable);
    if (!value || !*value || (places[i].absolute && *value != '/')) continue;
    int length = snprintf(path, capacity, "%s%s", value, places[i].below);
    if (length >= 0 && (size_t)length < capacity) return true;
    return t3_refuse(reason, reason_capacity, "%s is too long: the cache's directory must be shorter than %zu bytes",
                     places[i].variable, capacity);
  }
  return t3_refuse(reason, reason_capacity, "none of TCONV3D_CACHE_DIR, XDG_CACHE_HOME and HOME names a directory");
}
