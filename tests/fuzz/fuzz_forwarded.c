/*
 * Forwarded and X-Forwarded-For from a trusted proxy: whatever a client wrote, the
 * address that the proxy adds behind it is the source; a field in front of others changes
 * nothing that comes before an address that is not trusted. The input is field lines.
 */
#include "fuzz/heads.h"
#include "http/forwarded.h"

static struct network trusted_list[1];
static const struct networks trusted = {.list = trusted_list, .count = 1};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct error error;

    (void)argc;
    (void)argv;
    fuzz_require(network_parse(SPAN("10.0.0.0/8"), &trusted_list[0], &error), "%s",
                 error.text);
    return 0;
}

/* Sound: all of it is one head. */
static struct forwarded read_head(struct span lines, struct span value, struct span added,
                                  bool *is_sound)
{
    struct forwarded forwarded = {0};
    struct fuzz_head head;
    struct text text = {0};

    text_add(&text, SPAN("GET / HTTP/1.1\r\n"));
    text_add(&text, lines);
    text_add(&text, value);
    text_add(&text, added);
    text_add(&text, SPAN("\r\n\r\n"));
    fuzz_head_parse(&head, HTTP_REQUEST, fuzz_text(&text));
    *is_sound = head.parse == HTTP_PARSE_DONE && head.head.len == text.len;
    if (*is_sound)
        forwarded = forwarded_read(&head.head, &trusted);
    fuzz_head_end(&head);
    text_fini(&text);
    return forwarded;
}

static void require_source(const struct forwarded *forwarded, const char *wanted)
{
    char text[IP_TEXT_BYTES] = "";

    if (forwarded->has_source)
        ip_format(&forwarded->source, text);
    fuzz_require(strcmp(text, wanted) == 0, "the source is '%s', not '%s'", text, wanted);
}

/* The last field's value is the client's; the proxy has added to it. */
static void check_added(struct span lines, struct span value)
{
    static const struct {
        struct span name, added;
        const char *source;
    } proxies[] = {
        {SPAN("Forwarded: "), SPAN(", for=192.0.2.7"), "192.0.2.7"},
        {SPAN("Forwarded: "), SPAN(",for=\"[2001:db8::1]:80\";proto=https"),
         "2001:db8::1"},
        {SPAN("Forwarded: "), SPAN(", for=192.0.2.7, for=10.0.0.1"), "192.0.2.7"},
        {SPAN("X-Forwarded-For: "), SPAN(", 192.0.2.7"), "192.0.2.7"},
    };
    bool is_sound;

    for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++) {
        struct text start = {0};
        struct forwarded forwarded;

        /* A Forwarded in other lines would be believed before X-Forwarded-For. */
        if (i < 3)
            text_add(&start, lines);
        text_add(&start, proxies[i].name);
        forwarded = read_head(fuzz_text(&start), value, proxies[i].added, &is_sound);
        if (is_sound)
            require_source(&forwarded, proxies[i].source);
        text_fini(&start);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size);
    struct span value = fuzz_take_until(&input, '\n');
    struct text lines = {0};
    bool is_sound;

    (void)read_head(input, span_make(NULL, 0), span_make(NULL, 0), &is_sound);
    if (input.len > 0) {
        text_add(&lines, input);
        text_add(&lines, SPAN("\r\n"));
    }
    if (memchr(value.at != NULL ? value.at : "", '\r', value.len) == NULL)
        check_added(fuzz_text(&lines), value);
    text_fini(&lines);
    return 0;
}
