/* One line a request, at its end; nothing that INTERFACES.md bars from a log is in it. */
#ifndef PSGATE_GATEWAY_ACCESS_LOG_H
#define PSGATE_GATEWAY_ACCESS_LOG_H

struct exchange;

/* Writes the line, if the exchange's configuration has log.access on. */
void access_log_write(const struct exchange *exchange);

#endif
