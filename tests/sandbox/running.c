#include "running.h"

#include <string.h>

#include <check.h>

#include "base/log.h"

struct running running;

void running_start(struct sandbox_options options)
{
    struct error error;

    log_configure(LOG_ERROR, LOG_TEXT);
    options.host = "127.0.0.1";
    running = (struct running){.descriptors = open_descriptors()};
    running.sandbox = sandbox_start(&options, &error);
    ck_assert_msg(running.sandbox != NULL, "%s", error.text);
    http_client_open(&running.client, sandbox_port(running.sandbox));
}

void running_stop(void)
{
    http_client_close(&running.client);
    http_answer_fini(&running.answer);
    sandbox_stop(running.sandbox);
    ck_assert_uint_eq(open_descriptors(), running.descriptors);
}

unsigned ask(const char *method, const char *path, const char *body)
{
    return http_client_ask(&running.client, method, path, KEY, body, &running.answer);
}

unsigned take(void)
{
    http_client_take(&running.client, &running.answer);
    return running.answer.status;
}

void assert_still_serves(void)
{
    struct http_client other;
    struct http_answer answer = {0};

    http_client_open(&other, sandbox_port(running.sandbox));
    ck_assert_uint_eq(http_client_ask(&other, "GET", TEAM "/users", KEY, NULL, &answer),
                      200);
    http_client_close(&other);
    http_answer_fini(&answer);
}

void assert_body(const char *wanted)
{
    ck_assert_uint_gt(running.answer.body.len, 0);
    ck_assert_str_eq(running.answer.body.bytes, wanted);
}

void assert_says(const char *text)
{
    ck_assert_uint_gt(running.answer.body.len, 0);
    ck_assert_msg(strstr(running.answer.body.bytes, text) != NULL, "%s",
                  running.answer.body.bytes);
}
