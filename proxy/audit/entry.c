#include "audit/entry.h"

#include <stdlib.h>

struct audit_entry *audit_entry_new(enum audit_phase phase)
{
    struct audit_entry *entry = calloc(1, sizeof(*entry));

    if (entry != NULL)
        entry->phase = phase;
    return entry;
}

void audit_entry_free(struct audit_entry *entry)
{
    if (entry == NULL)
        return;
    text_fini(&entry->body);
    free(entry);
}
