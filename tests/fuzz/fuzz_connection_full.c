/*
 * Whole connections as fuzz_connection plays them, by the same scripts, but with TLS on
 * both sides, and the trail's own thread and files: what nobody waits for is in them too,
 * the disk fails as the script says, and in the end the trail verifies and has a result
 * for each intent.
 */
#include "fuzz/actors.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct scene_kind kind = {.has_trail = true, .has_tls = true};

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
