/* Clients as `psgate token list` shows them: what holds for each, defaults included. */
#ifndef PSGATE_COMMAND_TOKEN_LIST_H
#define PSGATE_COMMAND_TOKEN_LIST_H

#include <stdbool.h>

#include <jansson.h>

/*
 * Prints the entries of that name (NULL: all) on standard output, as an aligned table or
 * as JSON: never a token's digest.
 */
void token_list_print(const json_t *clients, const char *name, bool is_json);

#endif
