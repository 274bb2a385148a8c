/*
 * Whole connections: a script of what clients, upstream, the trail, an operator and the
 * clock do to the gateway's real state machine, in one process. What must hold is in the
 * actors: one answer a request and nothing of another one's, no change before its intent
 * nor answer before its result, no older answer after a change, a purge or a reload, no
 * secret in the log or the trail, and nothing left at the end.
 */
#include "fuzz/actors.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct scene_kind kind = {.has_trail = false};

    (void)argc;
    (void)argv;
    scene_prepare(&kind);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    actors_play(fuzz_span(data, size));
    return 0;
}
