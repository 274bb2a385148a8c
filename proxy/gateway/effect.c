#include "gateway/effect.h"

enum recording_mode effect_recording(const struct config *config,
                                     const struct operation *operation, bool is_mutating)
{
    if (!is_mutating)
        return RECORDING_NONE;
    if (operation != NULL && operation->is_audited)
        return RECORDING_AWAITED;
    switch ((enum config_other_mutations)config->audit.other_mutations) {
    case CONFIG_OTHER_LOG:
        return RECORDING_LOG;
    case CONFIG_OTHER_REQUIRE:
        return RECORDING_AWAITED;
    case CONFIG_OTHER_OFF:
        break;
    }
    return RECORDING_NONE;
}

const char *const *effect_invalidates(const struct config *config,
                                      const struct operation *operation, size_t *count)
{
    *count = operation != NULL ? operation->invalidates_count
                               : config->cache.other_invalidates_count;
    return operation != NULL ? operation->invalidates : config->cache.other_invalidates;
}
