#include "device/avoided.h"

#include <string.h>

void t3_avoid(t3_avoided *avoided, const t3_mark *mark) {
  size_t i = 0;
  pthread_mutex_lock(&avoided->lock);
  while (i < avoided->count && memcmp(&avoided->list[i], mark, sizeof *mark) != 0) ++i;
  if (i == avoided->count) {
    avoided->list[avoided->next] = *mark;
    avoided->next = (avoided->next + 1) % T3_MAX_AVOIDED;
    if (avoided->count < T3_MAX_AVOIDED) ++avoided->count;
  }
  pthread_mutex_unlock(&avoided->lock);
}

size_t t3_avoided_of(t3_avoided *avoided, uint64_t problem, t3_mark *list) {
  size_t found = 0;
  pthread_mutex_lock(&avoided->lock);
  for (size_t i = 0; i < avoided->count; ++i)
    if (avoided->list[i].problem == problem) list[found++] = avoided->list[i];
  pthread_mutex_unlock(&avoided->lock);
  return found;
}
