/* product.h: from a matrix product of a recipe to commands. CLBlast takes no wait list and wants a queue that nobody else uses:
 * so a product runs on a queue of the library's own, behind a barrier on what it waits for. */
#ifndef T3_PRODUCT_H
#define T3_PRODUCT_H

#include "device/context.h"
#include "plan/launch.h"

/* Multiplies matrices of the sizes of a recipe's products once, so that a call has nothing left to compile. */
tconv3d_status t3_products_warm(tconv3d_context *context, const t3_slot *slot, const t3_recipe *recipe);

/* Enqueues a product behind events, which are of commands on any queue of the context. Never waits for a command. */
tconv3d_status t3_product_enqueue(tconv3d_context *context, const t3_slot *slot, const t3_launch *launch,
                                  const t3_binding *binding, cl_uint num_events, const cl_event *wait_list, cl_event *event);

#endif
