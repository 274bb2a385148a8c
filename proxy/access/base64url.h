/* base64url without padding (RFC 4648 5, RFC 7515 2), in its one canonical spelling. */
#ifndef PSGATE_ACCESS_BASE64URL_H
#define PSGATE_ACCESS_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* Whether every byte of text is of the alphabet; an empty text's are. */
bool base64url_is_alphabet(struct span text);

/*
 * Decodes text into out; *len is what was written. False for a foreign byte, padding, an
 * impossible length, left-over bits that are not zero, or more than capacity bytes.
 */
bool base64url_decode(struct span text, unsigned char *out, size_t capacity, size_t *len);

#endif
