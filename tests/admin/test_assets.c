#include <openssl/evp.h>

#include "admin/assets.h"
#include "base/file.h"
#include "support/suite.h"

#define PAGE PSGATE_SOURCE_DIR "/proxy/admin/page/"
#define CHART "/usr/share/javascript/dygraphs/"
#define SCRIPT "text/javascript; charset=utf-8"
#define STYLE "text/css; charset=utf-8"

static const struct {
    const char *path, *file, *type;
} files[] = {
    {"/", PAGE "index.html", "text/html; charset=utf-8"},
    {"/page.css", PAGE "page.css", STYLE},
    {"/page.js", PAGE "page.js", SCRIPT},
    {"/favicon.svg", PAGE "favicon.svg", "image/svg+xml"},
    {"/chart.js", CHART "dygraph.min.js", SCRIPT},
    {"/chart.css", CHART "dygraph.min.css", STYLE},
};

START_TEST(a_file_is_found_by_its_path_as_it_is_on_disk)
{
    const struct admin_asset *asset = admin_asset_find(span_of(files[_i].path));
    struct text text = {0};
    struct error error = {{0}};

    ck_assert_ptr_nonnull(asset);
    ck_assert_str_eq(asset->path, files[_i].path);
    ck_assert_str_eq(asset->type, files[_i].type);
    ck_assert_msg(file_read(files[_i].file, FILE_PUBLIC, &text, &error), "%s",
                  error.text);
    ck_assert(
        span_equal(span_make(asset->bytes, asset->len), span_make(text.bytes, text.len)));
    text_fini(&text);
}
END_TEST

START_TEST(an_etag_is_the_hash_of_the_bytes_between_quotes)
{
    const struct admin_asset *asset = admin_asset_find(span_of(files[_i].path));
    unsigned char digest[EVP_MAX_MD_SIZE];
    char wanted[EVP_MAX_MD_SIZE * 2 + 3];
    size_t at = 1;
    unsigned len;

    ck_assert(EVP_Digest(asset->bytes, asset->len, digest, &len, EVP_sha256(), NULL));
    wanted[0] = '"';
    for (unsigned i = 0; i < len; i++, at += 2)
        snprintf(wanted + at, 3, "%02x", digest[i]);
    wanted[at] = '"';
    wanted[at + 1] = '\0';
    ck_assert_str_eq(asset->etag, wanted);
}
END_TEST

/* Each module that another imports, and each file that the page names, is served. */
static void assert_all_are_served(const struct admin_asset *asset, const char *before,
                                  char after)
{
    unsigned count = 0;

    for (const char *at = asset->bytes; (at = strstr(at, before)) != NULL; count++) {
        const char *name = at + strlen(before);
        const char *end = strchr(name, after);
        char path[64];

        ck_assert_int_lt(end - name, 60);
        snprintf(path, sizeof(path), "/%.*s", (int)(end - name), name);
        ck_assert_msg(admin_asset_find(span_of(path)) != NULL, "%s is missing", path);
        at = end;
    }
    ck_assert_uint_gt(count, 1);
}

START_TEST(whatever_the_page_loads_is_there)
{
    assert_all_are_served(admin_asset_find(SPAN("/")), " rel=\"stylesheet\" href=\"",
                          '"');
    assert_all_are_served(admin_asset_find(SPAN("/")), " src=\"", '"');
    assert_all_are_served(admin_asset_find(SPAN("/page.js")), " from './", '\'');
    assert_all_are_served(admin_asset_find(SPAN("/audit.js")), " from './", '\'');
}
END_TEST

static const char *const absent[] = {
    "", "page.js", "/page", "/page.js ", "/PAGE.JS", "//", "/./page.js", "/page.js?x",
};

START_TEST(only_an_exact_path_is_found)
{
    ck_assert_ptr_null(admin_asset_find(span_of(absent[_i])));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admin/assets");
    TCase *tcase = suite_case(suite, "assets");

    tcase_add_loop_test(tcase, a_file_is_found_by_its_path_as_it_is_on_disk, 0,
                        ROWS(files));
    tcase_add_loop_test(tcase, an_etag_is_the_hash_of_the_bytes_between_quotes, 0,
                        ROWS(files));
    tcase_add_test(tcase, whatever_the_page_loads_is_there);
    tcase_add_loop_test(tcase, only_an_exact_path_is_found, 0, ROWS(absent));
    return run_suite(suite);
}
