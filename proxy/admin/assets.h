/*
 * The status page's files, compiled in: they are the same for everybody and hold no data.
 * The build makes them from admin/page/ and from Debian's libjs-dygraphs.
 */
#ifndef PSGATE_ADMIN_ASSETS_H
#define PSGATE_ADMIN_ASSETS_H

#include <stddef.h>

#include "base/span.h"

struct admin_asset {
    const char *path; /* "/page.js"; the page itself is "/" */
    const char *type; /* for Content-Type */
    const char *bytes;
    size_t len;
    const char *etag; /* with its quotes; another when the bytes are others */
};

/* The asset at exactly this path, without a query; NULL when there is none. */
const struct admin_asset *admin_asset_find(struct span path);

#endif
