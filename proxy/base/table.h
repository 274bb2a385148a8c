/*
 * A hash table from byte strings to pointers. Open addressing, grows at three quarters.
 * Meant for tables that are filled once and read often; there is no removal.
 */
#ifndef PSGATE_BASE_TABLE_H
#define PSGATE_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct table;

/* An empty table, or NULL when memory is out. */
struct table *table_new(void);

/* Frees the table; the values are the caller's. NULL is fine. */
void table_free(struct table *table);

/*
 * Adds key -> value. The key's bytes are borrowed and must outlive the table.
 * False when the key is there already or memory is out: the table is then unchanged.
 */
bool table_add(struct table *table, struct span key, void *value);

/* The value, or NULL. */
void *table_find(const struct table *table, struct span key);

size_t table_count(const struct table *table);

#endif
