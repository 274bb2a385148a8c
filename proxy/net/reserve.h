/*
 * A reserve of memory for libevent and libevhtp: neither survives a failed allocation
 * everywhere. libevhtp ends the process when its parser gets none, and loses a
 * connection's descriptor; so while malloc has nothing they live on this, and what psgate
 * itself asks for fails, and is answered with an error.
 */
#ifndef PSGATE_NET_RESERVE_H
#define PSGATE_NET_RESERVE_H

#include <stddef.h>

enum { RESERVE_BYTES = 1024 * 1024, RESERVE_MOST_BYTES = 65536 /* in one block */ };

/* For the whole process: call once at start, before anything of libevent's is made. */
void reserve_init(void);

/*
 * malloc, realloc and free, but for when malloc has nothing: then a block of at most
 * RESERVE_MOST_BYTES comes from the reserve, as long as that lasts. From any thread.
 */
void *reserve_alloc(size_t bytes);
void *reserve_resize(void *block, size_t bytes);
void reserve_free(void *block);

#endif
