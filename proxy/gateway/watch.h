/*
 * Watches one file for changes: written anew, replaced by rename, or reached through a
 * symbolic link that now leads elsewhere (as Kubernetes swaps mounted secrets). inotify
 * on its folder tells at once; a look twice a second finds what inotify cannot tell. What
 * is new is reported once it has stayed the same for a moment, so that a file is not read
 * while it is being written. On the thread of its event base.
 */
#ifndef PSGATE_GATEWAY_WATCH_H
#define PSGATE_GATEWAY_WATCH_H

#include <event2/event.h>

#include "base/error.h"
#include "base/file.h"

struct watch;

/* How long a change may stay unseen, and how long it must have stayed the same. */
enum { WATCH_LOOK_MS = 500, WATCH_SETTLE_MS = 50 };

/*
 * on_change is called on base, and not for a file that is known already. What it returns
 * false for is not known yet: it is called again at the next look. NULL with error set;
 * without inotify it only looks.
 */
struct watch *watch_new(struct event_base *base, bool (*on_change)(void *arg), void *arg,
                        struct error *error) MUST_CHECK;

/*
 * Watches this path from now on; known is what its reader has read. False when memory is
 * out, and then nothing has changed.
 */
bool watch_follow(struct watch *watch, const char *path,
                  const struct file_identity *known) MUST_CHECK;

/* For on_change: which file it is called for. */
const struct file_identity *watch_seen(const struct watch *watch);

/* May be called with NULL. Not from within on_change. */
void watch_free(struct watch *watch);

#endif
