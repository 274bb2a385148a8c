/* Between the parts of a scene: its loops, its files, its trail and its TLS. */
#ifndef PSGATE_TESTS_FUZZ_SCENE_INTERNAL_H
#define PSGATE_TESTS_FUZZ_SCENE_INTERNAL_H

#include "fuzz/scene.h"

extern struct scene_kind scene_kind;  /* as prepared */
extern struct wire_trust scene_trust; /* all 0: plain */

/* The files. Reset: as they were prepared; change: as for a reload. */
void scene_files_prepare(void);
void scene_files_reset(void);
void scene_files_change(enum scene_reload what);
struct snapshot *scene_files_load(const struct snapshot *previous);
struct snapshot *scene_files_load_clients(struct snapshot *previous);

/* The trail. Flush: all that was queued is recorded. End: when no worker is left. */
void scene_trail_prepare(void);
void scene_trail_begin(struct scene *scene);
void scene_trail_flush(struct scene *scene);
bool scene_has_awaited_records(const struct scene *scene); /* somebody is to be told */
void scene_trail_end(struct scene *scene);

/* Requires that no secret of the scene stands in the bytes. */
void scene_require_no_secret(struct span bytes, const char *where);

#endif
