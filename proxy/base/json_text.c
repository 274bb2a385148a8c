#include "base/json_text.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/secret.h"

/* A thread's own: jansson calls back with nothing of ours. */
static _Thread_local bool was_starved;

static void *alloc(size_t bytes)
{
    void *block = malloc(bytes);

    was_starved |= block == NULL;
    return block;
}

/*
 * The size is asked of malloc and not kept in a header of ours: so blocks from before the
 * change of allocators, and those that our callers free() themselves, stay fine.
 */
static void free_cleansed(void *block)
{
    if (block != NULL)
        secret_cleanse(block, malloc_usable_size(block));
    free(block);
}

void json_text_init(void)
{
    json_set_alloc_funcs(alloc, free_cleansed);
    json_object_seed(0);
}

bool json_text_was_starved(void)
{
    bool result = was_starved;

    was_starved = false;
    return result;
}

/* As jansson itself says it: the code is the last byte of the text. */
static void say_starved(json_error_t *fault)
{
    (void)snprintf(fault->text, sizeof(fault->text), "memory is out");
    fault->text[sizeof(fault->text) - 1] = (char)json_error_out_of_memory;
}

json_t *json_text_read(struct span text, size_t flags, json_error_t *fault)
{
    bool before = json_text_was_starved();
    json_t *root;

    root = json_loadb(text.at != NULL ? text.at : "", text.len, flags, fault);
    if (!was_starved) {
        was_starved = before;
        return root;
    }
    json_decref(root);
    if (fault != NULL)
        say_starved(fault);
    return NULL;
}
