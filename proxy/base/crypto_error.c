#include "base/crypto_error.h"

#include <openssl/err.h>

bool crypto_error_was_memory(void)
{
    bool was_memory = false;
    unsigned long code;

    while ((code = ERR_get_error()) != 0)
        was_memory |= ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    return was_memory;
}
