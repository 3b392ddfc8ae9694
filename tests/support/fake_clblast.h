/* fake_clblast.h: CLBlast's entry points in the place of CLBlast, through the linker (tests/meson.build wraps them): products
 * are computed here, at once, so that tests of what the library does around them need not wait for its compiler; calls can be
 * made to fail, to be slow and to be wrong. */
#ifndef FAKE_CLBLAST_H
#define FAKE_CLBLAST_H

#include <stdbool.h>
#include <stddef.h>

#include <CL/cl.h>

struct fake_clblast {
  int failing_product;             /* which one from now on fails, counted from 1; 0: none. < 0: all */
  int product_status;              /* what it returns */
  int failing_override;            /* in the same way */
  size_t wrong_tile;               /* with this tile, 1000 * MWG + NWG, products are wrong */
  size_t refused_tile;             /* this one is refused */
  size_t fast_tile;                /* with this one products take no time, with others then 8 ms */
  int failing_queue;               /* which clCreateCommandQueue from now on fails */
  int products, overrides, clears; /* counted */
  int overlaps;                    /* calls that were inside at the same time as another */
  size_t tile, from;               /* and XGEMM_MIN_INDIRECT_SIZE, as told at last; 0: never */
  int queues;                      /* made and not released */
};
extern struct fake_clblast fake;

/* As at first; the counts are 0 but for queues. */
void fake_reset(void);

#endif
