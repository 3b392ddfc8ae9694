/* blas_tuning.h: which of CLBlast's parameters were measured to be best on a device, as text in the store beside the tunings of
 * layers.
 *
 *   key    as a layer's, with "clblast VERSION f32" or f64 for the layer
 *   value  "xgemm N... direct N... from N in NANOSECONDS ns", of a product 512 x 512 x 512
 *
 * Another version of CLBlast has other kernels, so its parameters are not looked for. */
#ifndef T3_BLAS_TUNING_H
#define T3_BLAS_TUNING_H

#include "blas/parameters.h"
#include "store/store.h"

typedef struct t3_blas_tuning {
  t3_blas_parameters parameters;
  int64_t nanoseconds; /* at least 1 */
} t3_blas_tuning;

/* What a look into the store can find: nothing, what does not fit the device or is no text of ours, or parameters. */
typedef enum t3_blas_found { T3_BLAS_NOTHING, T3_BLAS_DAMAGED, T3_BLAS_FOUND } t3_blas_found;
t3_blas_found t3_blas_tuning_find(t3_store *store, const tconv3d_device_info *device, const char *version, bool doubles,
                                  t3_blas_tuning *tuning);

/* Stores it in the place of what was there; false when it cannot be found again. */
bool t3_blas_tuning_keep(t3_store *store, const tconv3d_device_info *device, const char *version, bool doubles,
                         const t3_blas_tuning *tuning);

/* The key's last line, without its end: true only for a whole and right one. The value; and back in the same way. */
bool t3_blas_line_parse(const char **at);
void t3_blas_tuning_print(const t3_blas_tuning *tuning, t3_text *text);
bool t3_blas_tuning_parse(const char *text, t3_blas_tuning *tuning);

/* Makes the process's products on the device by what the store has for it, if that is sound; else nothing happens. */
void t3_blas_use_tuning(t3_store *store, const tconv3d_device_info *device, bool doubles);

#endif
