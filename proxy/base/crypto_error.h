/* OpenSSL's queue of errors, a thread's own, where no connection is concerned. */
#ifndef PSGATE_BASE_CRYPTO_ERROR_H
#define PSGATE_BASE_CRYPTO_ERROR_H

#include <stdbool.h>

/*
 * Empties the queue, so that nothing in it is taken for a TLS connection's fault. Whether
 * an error in it says that memory was out.
 */
bool crypto_error_was_memory(void);

#endif
