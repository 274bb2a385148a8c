#include "base/error.h"

#include <stdio.h>
#include <string.h>

bool error_set(struct error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return false;
}

bool error_set_errno(struct error *error, int errnum, const char *format, ...)
{
    va_list args;
    size_t used;

    va_start(args, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    used = strlen(error->text);
    (void)snprintf(error->text + used, sizeof(error->text) - used, ": %s",
                   error_errno_text(errnum));
    return false;
}

const char *error_errno_text(int errnum)
{
    const char *text = strerrordesc_np(errnum);

    return text != NULL ? text : "unknown error";
}
